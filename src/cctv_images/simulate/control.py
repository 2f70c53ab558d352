"""The zoo's desk at 127.0.0.1: counters and switches for tests and people in another process."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from cctv_images.simulate.server import Zoo

NOBODY = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_HELP = """\
GET  /zoo/stats              counters of all cameras, JSON
GET  /zoo/inventory.csv      the fleet as an inventory
GET  /zoo/credentials.json   what belongs into CCTV_CREDENTIALS
POST /zoo/fault?camera=ID&fault=NAME
"""


def answer(zoo: Zoo, method: str, target: str) -> bytes:
    """One whole HTTP answer."""
    parts = urlsplit(target)
    match method, parts.path:
        case "GET", "/zoo/stats":
            return _said("200 OK", json.dumps(zoo.stats()), "application/json")
        case "GET", "/zoo/inventory.csv":
            return _said("200 OK", zoo.inventory_csv(), "text/csv; charset=utf-8")
        case "GET", "/zoo/credentials.json":
            return _said("200 OK", json.dumps(zoo.credentials()), "application/json")
        case "GET", "/zoo":
            return _said("200 OK", _HELP)
        case "POST", "/zoo/fault":
            return _set_fault(zoo, parse_qs(parts.query))
    return NOBODY


def _set_fault(zoo: Zoo, asked: dict[str, list[str]]) -> bytes:
    try:
        zoo.set_fault(asked["camera"][0], asked["fault"][0])
    except KeyError as missing:
        return _said("404 Not Found", f"no such camera or parameter: {missing}\n")
    except ValueError as wrong:
        return _said("400 Bad Request", f"{wrong}\n")
    return _said("200 OK", "done\n")


def _said(status: str, text: str, content_type: str = "text/plain; charset=utf-8") -> bytes:
    body = text.encode()
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
