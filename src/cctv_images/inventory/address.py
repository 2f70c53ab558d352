"""Where a camera is asked: host, host:port, or a full URL, taken apart and held to what can be asked safely.

Strictness here spares the rest trouble: `//host/x` and `http://a..b/` raise AssertionError and UnicodeError
deep inside HTTP libraries, and `0xa9fea9fe` is a spelling of 169.254.169.254 that a filter on text would miss.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import parse_qsl

SCHEMES = ("http", "https", "rtsp")

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)(.*)")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")
_SECRET_PARAMETERS = frozenset({"pass", "passwd", "password", "pwd", "psw", "loginpas", "secret"})

_LINK_LOCAL = ipaddress.IPv4Network("169.254.0.0/16")
_CARRIES_IPV4_LAST = (ipaddress.IPv6Network("::/96"), ipaddress.IPv6Network("64:ff9b::/96"))


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    """Lower case; an IP literal in its canonical spelling, IPv6 without brackets."""
    port: int | None = None
    scheme: str = "http"
    path: str | None = None
    """Path with query as written; None when there was none (or a bare `/`)."""
    is_url: bool = False


def parse_address(text: str) -> Address:
    """Takes an address apart. Raises ValueError with a sentence that never repeats credentials."""
    if not text:
        raise ValueError("there is no address")
    if any(c.isspace() or not c.isprintable() for c in text):
        raise ValueError("the address contains a blank or a control character")
    if text.startswith("//"):
        raise ValueError("the address begins with //: write host, host:port or http://host/path")
    url = _URL.fullmatch(text)
    scheme, authority, target = url.groups() if url else ("http", text, "")
    if "@" in authority:
        raise ValueError("the address contains credentials: name them in the credentials column instead")
    if scheme.lower() not in SCHEMES:
        raise ValueError("the address's scheme is not http, https or rtsp")
    if not url and re.search(r"[/?#]", authority):
        raise ValueError("the address has a path but no scheme: write it as a full URL, http://host/path")
    host, port = _host_and_port(authority)
    return Address(host, port, scheme.lower(), _own_path(target), bool(url))


def check_path(text: str) -> str:
    """A path with query, as it may stand in a request line. Raises ValueError with a sentence."""
    if not text.isascii() or any(c.isspace() or not c.isprintable() for c in text):
        raise ValueError("the path contains characters that must be percent-encoded")
    if not text.startswith("/"):
        raise ValueError("the path does not begin with /")
    if "#" in text or "\\" in text:
        raise ValueError("the path contains # or \\, which no camera is asked with: percent-encode it")
    parameters = parse_qsl(text.partition("?")[2], keep_blank_values=True)
    if any(name.lower() in _SECRET_PARAMETERS and value and value[0] != "{" for name, value in parameters):
        raise ValueError("the path contains a password: name the login in the credentials column instead")
    return text


def _own_path(target: str) -> str | None:
    """What follows the host in a URL, or None where that is nothing at all."""
    if target in ("", "/"):
        return None
    return check_path(target if target.startswith("/") else "/" + target)


def _host_and_port(authority: str) -> tuple[str, int | None]:
    bracketed = re.fullmatch(r"\[([^\[\]]*)\](?::(.*))?", authority)
    if bracketed:
        host, port = bracketed.groups()
        return _ipv6(host), None if port is None else _port(port)
    if authority.count(":") > 1:
        return _ipv6(authority), None
    host, colon, port = authority.partition(":")
    return _name_or_ipv4(host.lower()), _port(port) if colon else None


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) < 65536:
        raise ValueError("the address's port is not a number from 1 to 65535")
    return int(text)


def _ipv6(text: str) -> str:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        raise ValueError("the address is neither host, host:port, nor [IPv6]:port") from None
    if address.scope_id is not None:
        raise ValueError("the address has an IPv6 zone (%…), which cannot be asked")
    inner = address.ipv4_mapped or address.sixtofour
    if any(address in network for network in _CARRIES_IPV4_LAST):
        inner = ipaddress.IPv4Address(address.packed[-4:])
    if inner is not None and inner in _LINK_LOCAL:
        raise ValueError("the address lies in 169.254.0.0/16, which is never asked")
    return _askable(address.ipv4_mapped or address)


def _name_or_ipv4(host: str) -> str:
    """A host name or a dotted quad. Every other numeric spelling of IPv4 (0x7f000001, 0251.…, 127.1) is refused."""
    labels = host.removesuffix(".").split(".")
    if _NUMERIC.fullmatch(labels[-1]):
        try:
            return _askable(ipaddress.IPv4Address(host))
        except ipaddress.AddressValueError:
            raise ValueError("the address is not an IPv4 address written as four decimal numbers") from None
    if not host.isascii():
        raise ValueError("the address's host is not ASCII: write an international name in its xn-- form")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("the address's host is not a host name (labels of 1 to 63 letters, digits and hyphens)")
    return host


def _askable(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    if address in _LINK_LOCAL:
        raise ValueError("the address lies in 169.254.0.0/16, which is never asked")
    if address.is_unspecified or address.is_multicast or str(address) == "255.255.255.255":
        raise ValueError("the address belongs to no single device")
    return str(address)
