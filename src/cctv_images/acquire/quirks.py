"""What single makes say instead of a picture. Each function is named by a row of the make table.

A refine function gets an answer that is no picture (any status but 401 and 403) and returns the error that
it means, or None where the make's own words add nothing.
"""

from __future__ import annotations

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
