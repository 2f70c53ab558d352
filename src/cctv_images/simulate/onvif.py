"""The device's side of ONVIF, with the faults seen in the field: clocks that are off, addresses that lead nowhere.

Written apart from acquire.onvif on purpose: a mistake shared by both sides would never be seen.
"""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections.abc import Iterable
from datetime import UTC, datetime

from cctv_images.simulate.answers import Asked, Step, whole
from cctv_images.simulate.login import Gatekeeper
from cctv_images.simulate.persona import OnvifStyle

_MAX_SKEW_S = 300.0
_OPEN = ("GetSystemDateAndTime", "GetServices", "GetCapabilities")
"""What a device answers to anybody (ONVIF Core, access class PRE_AUTH)."""
_V10, _V20 = "http://www.onvif.org/ver10", "http://www.onvif.org/ver20"


PATHS = ("/onvif/device_service", "/onvif/media")


def answer(style: OnvifStyle, gatekeeper: Gatekeeper | None, asked: Asked, host: str, body: bytes) -> Iterable[Step]:
    text = body.decode("utf-8", "replace")
    call = re.search(r"Body>\s*<(?:\w+:)?(\w+)", text)
    name = call[1] if call else ""
    if name not in _OPEN and gatekeeper is not None and not _logged_in(style, gatekeeper, text):
        return _fault(asked, "ter:NotAuthorized", "The action requested requires authorization")
    said = _SAYS.get(name)
    if said is None or (style.old and name == "GetServices"):
        return _fault(asked, "ter:ActionNotSupported", "Optional Action Not Implemented")
    clock = datetime.fromtimestamp(time.time() + style.clock_ahead_s, UTC)
    still = (style.still_named or style.named) + style.still.replace("&", "&amp;")
    media = f"{_V20}/media/wsdl" if style.media2 else f"{_V10}/media/wsdl"
    inner = said.format(c=clock, named=style.named, media=media, still=still.replace("&", "&amp;"))
    if not style.escaped_twice:
        inner = inner.replace("&amp;amp;", "&amp;")
    inner = inner.replace("{host}", host).replace("{port}", str(asked.port))
    return _soap(asked, f"<{name}Response>{inner}</{name}Response>")


def _logged_in(style: OnvifStyle, gatekeeper: Gatekeeper, text: str) -> bool:
    """The user name token of WS-Security, with its digest; one without is asked for, and counts as nothing."""
    found = {
        name: value for name, value in re.findall(r"<(?:\w+:)?(Username|Password|Nonce|Created)\b[^>]*>([^<]*)<", text)
    }
    if not found:
        return False
    gatekeeper.counts.offers += 1
    try:
        created = datetime.strptime(found["Created"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
        proof = base64.b64decode(found["Nonce"]) + found["Created"].encode() + gatekeeper.password.encode()
    except (KeyError, ValueError):
        gatekeeper.refuse()
        return False
    right = base64.b64encode(hashlib.sha1(proof, usedforsecurity=False).digest()).decode() == found.get("Password")
    in_time = abs(created - time.time() - style.clock_ahead_s) < _MAX_SKEW_S
    if gatekeeper.locked or not (right and in_time and found.get("Username") == gatekeeper.username):
        gatekeeper.refuse()
        return False
    return True


def _soap(asked: Asked, body: str, status: str = "200 OK") -> list[Step]:
    said = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<env:Envelope xmlns:env="http://www.w3.org/2003/05/soap-envelope" '
        f'xmlns:ter="{_V10}/error"><env:Body>{body}</env:Body></env:Envelope>'
    )
    return whole(asked, said.encode(), status=status, content_type="application/soap+xml; charset=utf-8")


def _fault(asked: Asked, code: str, reason: str) -> list[Step]:
    said = (
        f"<env:Fault><env:Code><env:Value>env:Sender</env:Value><env:Subcode><env:Value>{code}</env:Value></env:Subcode>"
        f"</env:Code><env:Reason><env:Text>{reason}</env:Text></env:Reason></env:Fault>"
    )
    return _soap(asked, said, "400 Bad Request")


_SAYS = {
    "GetSystemDateAndTime": (
        "<SystemDateAndTime><UTCDateTime><Time><Hour>{c.hour}</Hour><Minute>{c.minute}</Minute>"
        "<Second>{c.second}</Second></Time><Date><Year>{c.year}</Year><Month>{c.month}</Month><Day>{c.day}</Day></Date>"
        "</UTCDateTime></SystemDateAndTime>"
    ),
    "GetServices": "<Service><Namespace>{media}</Namespace><XAddr>{named}/onvif/media</XAddr></Service>",
    "GetCapabilities": "<Capabilities><Media><XAddr>{named}/onvif/media</XAddr></Media></Capabilities>",
    "GetProfiles": (
        '<Profiles token="Profile_1" fixed="true"><Name>main</Name><VideoSourceConfiguration token="v1">'
        "<SourceToken>source_1</SourceToken></VideoSourceConfiguration></Profiles>"
        '<Profiles token="Profile_2"><Name>sub</Name><VideoSourceConfiguration token="v1">'
        "<SourceToken>source_1</SourceToken></VideoSourceConfiguration></Profiles>"
    ),
    "GetSnapshotUri": "<MediaUri><Uri>\n{still}\n</Uri><Timeout>PT0S</Timeout></MediaUri>",
}
