"""The few SOAP messages that lead to a still, and what is read out of their answers. Pure functions.

Namespaces and the digest of the token: ONVIF Core and Media specifications (github.com/onvif/specs). Answers are read
by the names of their elements alone: devices choose prefixes, and sometimes namespaces, as they like.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import html
import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from cctv_images.acquire.logins import Login
from cctv_images.errors import plain

DEVICE = "http://www.onvif.org/ver10/device/wsdl"
MEDIA = "http://www.onvif.org/ver10/media/wsdl"
MEDIA2 = "http://www.onvif.org/ver20/media/wsdl"

MAX_ANSWER = 1 << 20
"""Bytes; a recorder's 64 profiles take some 300 kB."""
SLICE = 32_768
"""Bytes that are parsed at a time: other cameras have their turn in between."""

_ENVELOPE = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Header>{header}</s:Header><s:Body>{body}</s:Body>'
    "</s:Envelope>"
)
_WSS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
_TOKEN = (
    f'<w:Security s:mustUnderstand="1" xmlns:w="{_WSS}wssecurity-secext-1.0.xsd" '
    f'xmlns:u="{_WSS}wssecurity-utility-1.0.xsd"><w:UsernameToken><w:Username>{{username}}</w:Username>'
    f'<w:Password Type="{_WSS}username-token-profile-1.0#PasswordDigest">{{digest}}</w:Password>'
    f'<w:Nonce EncodingType="{_WSS}soap-message-security-1.0#Base64Binary">{{nonce}}</w:Nonce>'
    "<u:Created>{created}</u:Created></w:UsernameToken></w:Security>"
)
_REFUSES = re.compile(r"auth|invalidsecurity", re.IGNORECASE)
"""Texts of faults are odd; that of a refused login has one of these in it (github.com/openvideolibs
python-onvif-zeep-async client.py)."""


class Unreadable(Exception):
    """An answer that is no SOAP, or that declares entities, which SOAP forbids."""


@dataclass(frozen=True, slots=True)
class Message:
    """One call. namespace and name are ours; values come from the camera."""

    namespace: str
    name: str
    values: tuple[tuple[str, str], ...] = ()

    @property
    def action(self) -> str:
        return f"{self.namespace}/{self.name}"

    def envelope(self, token: str = "") -> bytes:
        inner = "".join(f"<m:{name}>{html.escape(value, quote=False)}</m:{name}>" for name, value in self.values)
        body = f'<m:{self.name} xmlns:m="{self.namespace}">{inner}</m:{self.name}>'
        return _ENVELOPE.format(header=token, body=body).encode()


CLOCK = Message(DEVICE, "GetSystemDateAndTime")
SERVICES = Message(DEVICE, "GetServices", (("IncludeCapability", "false"),))
CAPABILITIES = Message(DEVICE, "GetCapabilities", (("Category", "All"),))


def profiles(media: str) -> Message:
    return Message(media, "GetProfiles", (("Type", "VideoSource"),) if media == MEDIA2 else ())


def snapshot_uri(media: str, token: str) -> Message:
    return Message(media, "GetSnapshotUri", (("ProfileToken", token),))


def username_token(login: Login, device_time: float, nonce: bytes | None = None) -> str:
    """The header that logs in. device_time: epoch seconds by the device's own clock."""
    nonce = os.urandom(16) if nonce is None else nonce
    created = datetime.fromtimestamp(device_time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    proof = nonce + created.encode() + login.password.get_secret_value().encode()
    return _TOKEN.format(
        username=html.escape(login.username, quote=False),
        digest=base64.b64encode(hashlib.sha1(proof, usedforsecurity=False).digest()).decode(),
        nonce=base64.b64encode(nonce).decode(),
        created=created,
    )


async def read(data: bytes) -> ET.Element:
    """The envelope. Raises Unreadable."""
    if b"<!doctype" in data.replace(b"\0", b"").lower():
        raise Unreadable
    parser = ET.XMLParser()  # noqa: S314 - without a document type there is nothing to expand
    try:
        for at in range(0, len(data), SLICE):
            parser.feed(data[at : at + SLICE])
            await asyncio.sleep(0)
        root: ET.Element = parser.close()
    except (ET.ParseError, ValueError, LookupError):
        raise Unreadable from None
    if _name(root) != "Envelope":
        raise Unreadable
    return root


def fault(envelope: ET.Element) -> str | None:
    """What a fault says, for people; None where there is none."""
    found = next(elements(envelope, "Fault"), None)
    if found is None:
        return None
    return plain(" ".join(" ".join(text.split()) for text in found.itertext() if text.strip())) or "no reason"


def refuses(said: str) -> bool:
    """Whether a fault means that a login is wanted, or was wrong."""
    return _REFUSES.search(said) is not None


def elements(root: ET.Element, name: str) -> Iterator[ET.Element]:
    return (element for element in root.iter() if _name(element) == name)


def text(root: ET.Element, name: str) -> str:
    """The text of the first element of that name, or nothing."""
    return next(((element.text or "").strip() for element in elements(root, name)), "")


def device_time(envelope: ET.Element) -> float | None:
    """Epoch seconds of the device's clock; None where it does not say them in UTC."""
    clock = next(elements(envelope, "UTCDateTime"), None)
    if clock is None:
        return None
    parts = [text(clock, name) for name in ("Year", "Month", "Day", "Hour", "Minute", "Second")]
    try:
        return datetime(*(int(part) for part in parts), tzinfo=UTC).timestamp()  # type: ignore[misc,arg-type]
    except (ValueError, OverflowError):
        return None


def media_services(envelope: ET.Element) -> dict[str, str]:
    """Namespace -> XAddr of the media services, from GetServices or from GetCapabilities."""
    found = {}
    for service in elements(envelope, "Service"):
        if text(service, "Namespace") in (MEDIA, MEDIA2):
            found[text(service, "Namespace")] = text(service, "XAddr")
    for capability in elements(envelope, "Media"):
        found.setdefault(MEDIA, text(capability, "XAddr"))
    return {namespace: address for namespace, address in found.items() if address}


def profile_tokens(envelope: ET.Element) -> list[tuple[str, str]]:
    """(token, video source) of each profile, in the device's order; the source is empty where it is not said."""
    found = [(profile.get("token", ""), _source(profile)) for profile in elements(envelope, "Profiles")]
    with_video = [(token, source) for token, source in found if token and source]
    return with_video or [(token, "") for token, _ in found if token]


def _source(profile: ET.Element) -> str:
    videos = (video for name in ("VideoSourceConfiguration", "VideoSource") for video in elements(profile, name))
    return next((source for video in videos if (source := text(video, "SourceToken"))), "")


def _name(element: ET.Element) -> str:
    return str(element.tag).rpartition("}")[2]
