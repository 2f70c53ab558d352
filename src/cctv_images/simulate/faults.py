"""What a simulated camera can do wrong, and what each wrong should come out as."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from cctv_images.errors import ErrorState


class Fault(StrEnum):
    NONE = "none"

    # By its address: these need no answer, and are settled by `Zoo.address`.
    DNS = "dns"
    UNREACHABLE = "unreachable"
    CONNECT_TIMEOUT = "connect_timeout"
    TLS = "tls"
    TLS_SELF_SIGNED = "tls_self_signed"

    # Too slow.
    SILENT = "silent"
    DRIP = "drip"
    DRIP_BODY = "drip_body"
    STALLED = "stalled"
    ENDLESS_CONTINUE = "endless_continue"

    # Cut off.
    HANG_UP = "hang_up"
    RESET = "reset"
    CUT = "cut"
    RESET_IN_BODY = "reset_in_body"

    # Not HTTP.
    GARBAGE = "garbage"
    BANNER = "banner"
    ICY = "icy"
    ENDLESS_HEADERS = "endless_headers"
    CHUNK_GARBAGE = "chunk_garbage"
    RTSP = "rtsp"

    # Logins.
    WRONG_PASSWORD = "wrong_password"  # noqa: S105 - a fault, no password
    LOCKED = "locked"
    FORBIDDEN = "forbidden"
    NO_CHALLENGE = "no_challenge"

    # Statuses.
    NOT_FOUND = "not_found"
    GONE = "gone"
    WRONG_METHOD = "wrong_method"
    BUSY = "busy"
    TOO_MANY = "too_many"
    BUSY_XML = "busy_xml"
    BUSY_XML_200 = "busy_xml_200"
    SERVER_ERROR = "server_error"
    SCRIPT_IN_REASON = "script_in_reason"
    NO_CONTENT = "no_content"
    REDIRECTED = "redirected"
    REDIRECTED_METADATA = "redirected_metadata"
    REDIRECTED_SCHEME = "redirected_scheme"
    REDIRECT_LOOP = "redirect_loop"

    # Bodies.
    TOO_LARGE = "too_large"
    ENDLESS = "endless"
    GZIP_BOMB = "gzip_bomb"
    HUGE_PIXELS = "huge_pixels"
    PNG_BOMB = "png_bomb"
    LOGIN_PAGE = "login_page"
    XML_200 = "xml_200"
    OTHER_PATH_XML = "other_path_xml"
    EMPTY = "empty"
    HTML_AS_JPEG = "html_as_jpeg"
    TRUNCATED = "truncated"
    FORGED_END = "forged_end"
    ZEROS = "zeros"
    NO_LENGTH_CUT = "no_length_cut"

    # Tolerated: a browser or curl shows the picture, so must we.
    DOUBLE_LENGTH = "double_length"
    CHUNKED_AND_LENGTH = "chunked_and_length"
    NAMELESS_HEADER = "nameless_header"
    SPACED_HEADER = "spaced_header"
    LENGTH_SHORT = "length_short"
    LENGTH_LONG = "length_long"
    LENGTH_ZERO = "length_zero"
    LF_ONLY = "lf_only"
    LOWER_CASE = "lower_case"
    NO_REASON = "no_reason"
    NO_LENGTH = "no_length"
    NO_HEADER = "no_header"
    TWO_ANSWERS = "two_answers"
    CHUNKED = "chunked"
    GZIP = "gzip"
    FALSE_GZIP = "false_gzip"
    MJPEG = "mjpeg"
    MJPEG_DASHES = "mjpeg_dashes"
    BACK_TO_BACK = "back_to_back"
    PNG = "png"
    WEBP = "webp"
    PROGRESSIVE = "progressive"
    GREY = "grey"
    TRAILING = "trailing"
    NO_END = "no_end"
    CHARSET = "charset"
    NO_TYPE = "no_type"
    ODD_TYPE = "odd_type"
    JPG_TYPE = "jpg_type"
    BLACK = "black"
    BARS = "bars"
    NO_SIGNAL = "no_signal"
    CLOCK_ONLY = "clock_only"
    STUCK = "stuck"
    MOVED = "moved"
    SLOW = "slow"

    # In time.
    FLAPPING = "flapping"
    DYING = "dying"
    RECOVERING = "recovering"
    DEVICE_ERROR_TWICE = "device_error_twice"
    FICKLE_LOGIN = "fickle_login"


@dataclass(frozen=True, slots=True)
class FaultFacts:
    expects: ErrorState | None
    """The error_state of a cycle that meets it; None where a picture must come all the same (or comes at times)."""
    about: str
    login: bool = False
    """Shows only on a camera that wants a login."""
    by_address: bool = False
    """Stands in the inventory's address: cannot be switched while the zoo runs (CONNECT_TIMEOUT can)."""
    recipe: str | None = None
    """The make it has been seen on, where it makes sense on that make alone."""


_E = ErrorState

FAULTS: dict[Fault, FaultFacts] = {
    Fault.NONE: FaultFacts(None, "healthy"),
    Fault.DNS: FaultFacts(_E.DNS, "its name does not resolve", by_address=True),
    Fault.UNREACHABLE: FaultFacts(_E.UNREACHABLE, "nobody listens at its port", by_address=True),
    Fault.CONNECT_TIMEOUT: FaultFacts(_E.CONNECT_TIMEOUT, "connections are never answered"),
    Fault.TLS: FaultFacts(_E.TLS, "listed as https, speaks plain http", by_address=True),
    Fault.TLS_SELF_SIGNED: FaultFacts(_E.TLS, "shows a certificate that nobody signed", by_address=True),
    Fault.SILENT: FaultFacts(_E.TIMEOUT, "takes the request and says nothing"),
    Fault.DRIP: FaultFacts(_E.TIMEOUT, "sends its header a byte a second"),
    Fault.DRIP_BODY: FaultFacts(_E.TIMEOUT, "sends its picture a byte a second"),
    Fault.STALLED: FaultFacts(_E.TIMEOUT, "stops in the middle of the picture and keeps the line"),
    Fault.ENDLESS_CONTINUE: FaultFacts(_E.TIMEOUT, "says 100 Continue for ever"),
    Fault.HANG_UP: FaultFacts(_E.DISCONNECTED, "closes without an answer"),
    Fault.RESET: FaultFacts(_E.DISCONNECTED, "resets the connection after the request"),
    Fault.CUT: FaultFacts(_E.DISCONNECTED, "closes after half of the announced length"),
    Fault.RESET_IN_BODY: FaultFacts(_E.DISCONNECTED, "resets the connection after half of the announced length"),
    Fault.GARBAGE: FaultFacts(_E.BAD_RESPONSE, "answers with noise"),
    Fault.BANNER: FaultFacts(_E.BAD_RESPONSE, "is an SSH server"),
    Fault.ICY: FaultFacts(_E.BAD_RESPONSE, "answers in the protocol of radio streams"),
    Fault.ENDLESS_HEADERS: FaultFacts(_E.BAD_RESPONSE, "its header never ends"),
    Fault.CHUNK_GARBAGE: FaultFacts(_E.BAD_RESPONSE, "its chunk sizes are no numbers, its chunks noise"),
    Fault.RTSP: FaultFacts(_E.BAD_RESPONSE, "answers as a video server"),
    Fault.WRONG_PASSWORD: FaultFacts(_E.AUTH, "has another password than the list", login=True),
    Fault.LOCKED: FaultFacts(_E.AUTH, "has locked the account", login=True),
    Fault.FORBIDDEN: FaultFacts(_E.AUTH, "knows the account, but it may not see pictures", login=True),
    Fault.NO_CHALLENGE: FaultFacts(_E.AUTH, "answers 401 without saying which login it wants", login=True),
    Fault.NOT_FOUND: FaultFacts(_E.NOT_FOUND, "does not know that path: another make"),
    Fault.GONE: FaultFacts(_E.NOT_FOUND, "answers 410"),
    Fault.WRONG_METHOD: FaultFacts(_E.NOT_FOUND, "answers 405"),
    Fault.BUSY: FaultFacts(_E.BUSY, "answers 503 and Retry-After"),
    Fault.TOO_MANY: FaultFacts(_E.BUSY, "answers 429"),
    Fault.BUSY_XML: FaultFacts(_E.BUSY, "answers 503 with Device Busy in XML", recipe="hikvision"),
    Fault.BUSY_XML_200: FaultFacts(_E.BUSY, "answers 200 with Device Busy in XML", recipe="hikvision"),
    Fault.SERVER_ERROR: FaultFacts(_E.HTTP_ERROR, "answers 500"),
    Fault.SCRIPT_IN_REASON: FaultFacts(_E.HTTP_ERROR, "answers 500 with markup and terminal codes in the reason"),
    Fault.NO_CONTENT: FaultFacts(_E.HTTP_ERROR, "answers 204"),
    Fault.REDIRECTED: FaultFacts(_E.REDIRECTED, "sends to another host"),
    Fault.REDIRECTED_METADATA: FaultFacts(_E.REDIRECTED, "sends to the cloud's metadata address"),
    Fault.REDIRECTED_SCHEME: FaultFacts(_E.REDIRECTED, "sends to a file"),
    Fault.REDIRECT_LOOP: FaultFacts(_E.REDIRECTED, "sends in circles"),
    Fault.TOO_LARGE: FaultFacts(_E.TOO_LARGE, "announces 200 MB"),
    Fault.ENDLESS: FaultFacts(_E.TOO_LARGE, "never stops sending"),
    Fault.GZIP_BOMB: FaultFacts(_E.TOO_LARGE, "unpacks to 32 MB"),
    Fault.HUGE_PIXELS: FaultFacts(_E.TOO_LARGE, "claims 65500 x 65500 pixels"),
    Fault.PNG_BOMB: FaultFacts(_E.TOO_LARGE, "a small PNG of 12000 x 12000 pixels"),
    Fault.LOGIN_PAGE: FaultFacts(_E.NOT_AN_IMAGE, "a login page with status 200"),
    Fault.XML_200: FaultFacts(_E.NOT_AN_IMAGE, "an XML error with status 200", recipe="hikvision"),
    Fault.OTHER_PATH_XML: FaultFacts(
        _E.NOT_FOUND, "is a recorder that wants another path, and says so in XML", recipe="hikvision"
    ),
    Fault.EMPTY: FaultFacts(_E.NOT_AN_IMAGE, "200 and nothing"),
    Fault.HTML_AS_JPEG: FaultFacts(_E.NOT_AN_IMAGE, "HTML that calls itself image/jpeg"),
    Fault.TRUNCATED: FaultFacts(_E.TRUNCATED, "half a picture with a matching length"),
    Fault.FORGED_END: FaultFacts(_E.TRUNCATED, "half a picture with an end marker put behind it"),
    Fault.ZEROS: FaultFacts(_E.TRUNCATED, "half a picture, the rest zeros"),
    Fault.NO_LENGTH_CUT: FaultFacts(_E.TRUNCATED, "half a picture without a length, closed"),
    Fault.DOUBLE_LENGTH: FaultFacts(None, "sends Content-Length twice"),
    Fault.CHUNKED_AND_LENGTH: FaultFacts(None, "sends chunks and a length"),
    Fault.NAMELESS_HEADER: FaultFacts(None, "a header line without a name (GoAhead boards)"),
    Fault.SPACED_HEADER: FaultFacts(None, "a blank before a header's colon"),
    Fault.LENGTH_SHORT: FaultFacts(None, "announces 48 bytes less than it sends (Dahua, Lorex)"),
    Fault.LENGTH_LONG: FaultFacts(None, "announces 48 bytes more than it sends (Dahua, Lorex)"),
    Fault.LENGTH_ZERO: FaultFacts(None, "announces nothing, sends a picture"),
    Fault.LF_ONLY: FaultFacts(None, "ends lines with LF alone"),
    Fault.LOWER_CASE: FaultFacts(None, "spells http/1.1 in small letters"),
    Fault.NO_REASON: FaultFacts(None, "a status without its reason"),
    Fault.NO_LENGTH: FaultFacts(None, "no length, closes at the end"),
    Fault.NO_HEADER: FaultFacts(None, "the bare picture, no header at all"),
    Fault.TWO_ANSWERS: FaultFacts(None, "two answers to one request"),
    Fault.CHUNKED: FaultFacts(None, "sends chunks"),
    Fault.GZIP: FaultFacts(None, "packs the picture unasked"),
    Fault.FALSE_GZIP: FaultFacts(None, "says gzip and sends it plain"),
    Fault.MJPEG: FaultFacts(None, "streams where a still was asked"),
    Fault.MJPEG_DASHES: FaultFacts(None, "streams, the boundary's dashes in the header too (Sony)"),
    Fault.BACK_TO_BACK: FaultFacts(None, "JPEGs back to back under the length of the first (JVC)"),
    Fault.PNG: FaultFacts(None, "sends PNG"),
    Fault.WEBP: FaultFacts(None, "sends WebP"),
    Fault.PROGRESSIVE: FaultFacts(None, "a progressive JPEG"),
    Fault.GREY: FaultFacts(None, "a grey JPEG, as at night"),
    Fault.TRAILING: FaultFacts(None, "vendor bytes behind the picture"),
    Fault.NO_END: FaultFacts(None, "whole data, no end marker"),
    Fault.CHARSET: FaultFacts(None, "image/jpeg;charset=utf-8"),
    Fault.NO_TYPE: FaultFacts(None, "no content type"),
    Fault.ODD_TYPE: FaultFacts(None, "calls it just jpeg"),
    Fault.JPG_TYPE: FaultFacts(None, "calls it image/jpg"),
    Fault.BLACK: FaultFacts(None, "a black picture"),
    Fault.BARS: FaultFacts(None, "colour bars"),
    Fault.NO_SIGNAL: FaultFacts(None, "a screen that says NO SIGNAL"),
    Fault.CLOCK_ONLY: FaultFacts(None, "the same picture for ever, but for its clock"),
    Fault.STUCK: FaultFacts(None, "the same picture for ever"),
    Fault.MOVED: FaultFacts(None, "sends to another path of its own"),
    Fault.SLOW: FaultFacts(None, "takes two seconds when healthy"),
    Fault.FLAPPING: FaultFacts(None, "three pictures, six times nothing, and so on"),
    Fault.DYING: FaultFacts(None, "three pictures, then nothing for ever"),
    Fault.RECOVERING: FaultFacts(None, "six times nothing, then pictures"),
    Fault.DEVICE_ERROR_TWICE: FaultFacts(
        None, "two XML device errors with status 200, then the picture", recipe="hikvision"
    ),
    Fault.FICKLE_LOGIN: FaultFacts(None, "refuses every fourth right login (Dahua)", login=True),
}

IN_TIME = (Fault.FLAPPING, Fault.DYING, Fault.RECOVERING, Fault.DEVICE_ERROR_TWICE, Fault.FICKLE_LOGIN)
"""A picture at times."""

TOLERATED = tuple(f for f in Fault if FAULTS[f].expects is None and f not in (Fault.NONE, *IN_TIME))
"""Defects that must still give a picture, in each attempt."""


def _one_of_each_state_first() -> tuple[Fault, ...]:
    sick = [f for f in Fault if FAULTS[f].expects is not None and f is not Fault.TLS_SELF_SIGNED]
    first = list({FAULTS[f].expects: f for f in reversed(sick)}.values())[::-1]
    return (*first, *(f for f in sick if f not in first))


SICK = _one_of_each_state_first()
"""Faults that cost the picture; the first of them show every error_state once. TLS_SELF_SIGNED needs a certificate."""
