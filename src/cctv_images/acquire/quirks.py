"""What single makes say instead of a picture. Each function is named by a row of the make table.

A refine function gets an answer that is no picture (any status but 401 and 403) and returns the error that
it means, or None where the make's own words add nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from cctv_images.errors import CameraError, ErrorState, plain

Refine = Callable[[int, bytes], CameraError | None]
"""(HTTP status, the body's beginning) -> the error it means."""

LOOK_AT = 4096
"""Bytes of a body that are looked at."""


def hikvision(status: int, body: bytes) -> CameraError | None:
    """ISAPI's ResponseStatus, which comes with 503 and also with 200.

    Codes: Hikvision Device Network SDK developer guide (2022), XML_ResponseStatus. Code 3 with 200 and code 6 from
    recorders: github.com/maciej-or/hikvision_next isapi.py. 503 with deviceBusy: home-assistant/core issue 47259.
    """
    text = body[:LOOK_AT].decode("latin-1")
    if "ResponseStatus" not in text:
        return None
    code = _element(text, "statusCode")
    words = " ".join(filter(None, (_element(text, "statusString"), _element(text, "subStatusCode"))))
    said = plain(f"the camera says {words or 'no reason'} (code {code or 'unknown'})")
    if code == "2" or "busy" in words.casefold():
        return CameraError(ErrorState.BUSY, said)
    if code == "6":
        return CameraError(ErrorState.NOT_FOUND, f"{said}; if it is a recorder, its model is hikvision-nvr")
    return CameraError(ErrorState.NOT_AN_IMAGE if status < 300 else ErrorState.HTTP_ERROR, said)


def _element(xml: str, name: str) -> str:
    """The text of the first element of that name, whatever its namespace prefix. No XML parser: the text is foreign."""
    found = re.search(rf"<(?:[\w-]{{1,32}}:)?{name}\b[^<>]{{0,200}}>\s{{0,64}}([^<>]{{0,100}})<", xml)
    return found[1].strip() if found else ""


def dahua(status: int, body: bytes) -> CameraError | None:
    """A short text with Error or Invalid in it, also with 200 (github.com/tchellomello/python-amcrest http.py)."""
    text = body[:200].decode("latin-1").strip()
    if status >= 300 or "\0" in text or not re.search(r"\b(Error|Invalid)\b", text):
        return None
    return CameraError(ErrorState.NOT_AN_IMAGE, f"the camera says {text.splitlines()[0]}")


def acti(status: int, body: bytes) -> CameraError | None:
    """A text that begins with ERROR:, whatever the status (ACTi URL command specification 1.3.01)."""
    text = body[:200].decode("latin-1").strip()
    if not text.upper().startswith("ERROR:"):
        return None
    login = re.search(r"account|password|login|auth|user|permission|privilege", text, re.IGNORECASE)
    state = ErrorState.AUTH if login else ErrorState.NOT_AN_IMAGE if status < 300 else ErrorState.HTTP_ERROR
    return CameraError(state, f"the camera says {text.splitlines()[0]}")


FOSCAM_RESULTS = {
    "-1": (ErrorState.NOT_FOUND, "it does not understand the request"),
    "-2": (ErrorState.AUTH, "wrong user name or password"),
    "-3": (ErrorState.AUTH, "access denied"),
    "-4": (ErrorState.NOT_AN_IMAGE, "it could not take the picture"),
    "-5": (ErrorState.BUSY, "it took too long"),
}
"""github.com/krmarien/python-foscam foscam.py."""


def foscam(status: int, body: bytes) -> CameraError | None:
    """<CGI_Result><result>-2</result></CGI_Result>, with status 200."""
    code = _element(body[:LOOK_AT].decode("latin-1"), "result")
    if code not in FOSCAM_RESULTS:
        return None
    state, means = FOSCAM_RESULTS[code]
    return CameraError(state, f"the camera says {means} (result {code})")


def reolink(status: int, body: bytes) -> CameraError | None:
    """A list of JSON with an error in it, called text/html, status 200 (github.com/starkillerOG/reolink_aio api.py)."""
    detail, code = reolink_error(body)
    if not detail and code is None:
        return None
    said = f"the camera says {detail or 'no reason'}" + (f" ({code})" if code is not None else "")
    if "max session" in detail or code == -5:
        return CameraError(ErrorState.BUSY, said)
    if code == -6 or any(words in detail for words in ("login", "password", "invalid user")):
        return CameraError(ErrorState.AUTH, said)
    return CameraError(ErrorState.NOT_AN_IMAGE if status < 300 else ErrorState.HTTP_ERROR, said)


def reolink_error(body: bytes) -> tuple[str, int | None]:
    """(detail in small letters, rspCode) of the first answer in the list; ("", None) where there is no error."""
    try:
        error = json.loads(body)[0]["error"]
        detail, code = error.get("detail", ""), error.get("rspCode")
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return "", None
    return plain(str(detail).strip().casefold(), 80), code if isinstance(code, int) else None
