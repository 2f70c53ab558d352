"""What a session description (RFC 8866) says of its video, as far as one picture needs it."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Literal

from cctv_images.errors import CameraError, ErrorState, plain

Codec = Literal["h264", "hevc", "mjpeg"]

CODECS: dict[str, Codec] = {"H264": "h264", "H265": "hevc", "HEVC": "hevc", "JPEG": "mjpeg"}
"""Names in a=rtpmap, which ignore case."""
STATIC_JPEG = "26"
"""The payload type that means JPEG without an a=rtpmap (RFC 3551)."""

_PARAMETER_SETS = ("sprop-vps", "sprop-sps", "sprop-pps", "sprop-parameter-sets")


@dataclass(frozen=True, slots=True)
class Video:
    codec: Codec
    control: str
    """The URL to set it up by, as the camera words it; empty = the session's own."""
    parameter_sets: tuple[bytes, ...] = ()
    """NAL units that the decoder wants before the first picture, where they are not sent in the stream."""


def video_of(description: bytes) -> Video:
    """The first video that can be read. Raises CameraError(NOT_AN_IMAGE)."""
    sections = re.split(r"^m=", description.decode("latin-1"), flags=re.MULTILINE)[1:]
    others = []
    for section in sections:
        kind, *formats = re.split(r"[ \r\n]+", section.partition("\n")[0].strip())
        if kind != "video":
            continue
        payload_type = formats[2] if len(formats) > 2 else ""
        name = _first(rf"rtpmap:{re.escape(payload_type)}\s+([^/\s]+)", section).upper()
        codec = CODECS.get(name) or ("mjpeg" if payload_type == STATIC_JPEG else None)
        if codec is not None:
            return Video(codec, _first(r"control:(\S+)", section), _parameter_sets(section, payload_type))
        others.append(name or payload_type)
    said = f"video of a kind that is not read: {', '.join(others)}" if others else "a stream without video"
    raise CameraError(ErrorState.NOT_AN_IMAGE, plain(said))


def _first(pattern: str, section: str) -> str:
    found = re.search(rf"^a={pattern}", section, re.MULTILINE | re.IGNORECASE)
    return found[1] if found else ""


def _parameter_sets(section: str, payload_type: str) -> tuple[bytes, ...]:
    sets = []
    for item in _first(rf"fmtp:{re.escape(payload_type)}\s+(.*)", section).split(";"):
        name, _, value = item.strip().partition("=")
        if name.lower() in _PARAMETER_SETS:
            sets += [unit for text in value.split(",") if (unit := _decoded(text))]
    return tuple(sets)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text.strip().rstrip("=") + "==")
    except (ValueError, binascii.Error):
        return b""
