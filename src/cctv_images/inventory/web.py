"""An inventory read over HTTP: every page of it, or nothing.

Socrata cuts an answer at 1,000 rows unless it is paged ($limit, $offset; dev.socrata.com, paging); Knack at 25, at
most 1,000 (page, rows_per_page; docs.knack.com, response format). A list that changes while it is being read is no
list: what was read is thrown away and the next time tries again.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from yarl import URL

from cctv_images.errors import ConfigError
from cctv_images.inventory.formats import is_knack, knack_number

SOCRATA_PAGE = 1000
KNACK_PAGE = 1000
MAX_REDIRECTS = 3

_SOCRATA = re.compile(r"/resource/[^/]+\.(json|csv|geojson)$")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_LATER = frozenset({408, 425, 429})
_HINTS = {401: "check CCTV_INVENTORY_HEADERS", 403: "check CCTV_INVENTORY_HEADERS", 404: "check CCTV_INVENTORY"}


class InventoryUnavailable(Exception):
    """An outage between us and the inventory: no mistake in it, and none of the operator's. str() is a sentence."""


async def read_web(url: URL, headers: Mapping[str, str], source_name: str, *, max_bytes: int) -> bytes:
    """The whole document; many pages become one document of the same form.

    Raises ConfigError (refused, not there, elsewhere, too large) and InventoryUnavailable. Sets no time limit itself.
    """
    # Cameras' and the store's sessions have other limits, and a proxy in the environment is not meant for this one.
    async with aiohttp.ClientSession(
        headers=headers,
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
    ) as session:
        reader = _Reader(session, source_name, max_bytes)
        socrata = _SOCRATA.search(url.path)
        if socrata and socrata[1] == "json":
            return await _socrata(reader, url)
        if socrata:
            raise ConfigError(
                f"{source_name}: of a Socrata dataset only the .json address can be read whole; use that."
            )
        document = await reader.read(url)
        if document.body.lstrip()[:1] == b"{":
            answer = await reader.json(document)
            if is_knack(answer) and (knack_number(answer, "total_pages") or 0) > 1:
                return await _knack(reader, url)
        return document.body


@dataclass(frozen=True, slots=True)
class _Document:
    body: bytes
    modified: str
    """Socrata's word for the state of the dataset, else empty."""


class _Reader:
    """Reads pages of one source within one budget of bytes."""

    def __init__(self, session: aiohttp.ClientSession, source_name: str, max_bytes: int) -> None:
        self._session = session
        self.source_name = source_name
        self._max_bytes = max_bytes
        self._left = max_bytes

    async def read(self, url: URL) -> _Document:
        """One page. Redirects are followed on the same host only: the headers are secrets of that host."""
        for _ in range(MAX_REDIRECTS + 1):
            try:
                async with self._session.get(url, allow_redirects=False) as response:
                    if response.status not in _REDIRECTS:
                        self._judge(response)
                        body = await self._body(response)
                        return _Document(body, response.headers.get("X-SODA2-Truth-Last-Modified", ""))
                    url = self._next(url, response.headers.get("Location", ""))
            except (aiohttp.ClientError, OSError) as error:
                raise InventoryUnavailable(f"{self.source_name} cannot be read: {_reason(error)}.") from None
        raise ConfigError(f"{self.source_name} redirects in circles.")

    async def json(self, document: _Document) -> Any:
        """The page's JSON, or None where it is none: its reader will say so with a line."""
        try:
            return await asyncio.to_thread(json.loads, document.body)
        except (ValueError, RecursionError):
            return None

    def changed(self) -> InventoryUnavailable:
        return InventoryUnavailable(f"{self.source_name} changed while its pages were read; none of them is believed.")

    def _judge(self, response: aiohttp.ClientResponse) -> None:
        status = response.status
        if status == 200:
            return
        if 400 <= status < 500 and status not in _LATER:
            raise ConfigError(f"{self.source_name} answers {status}: {_HINTS.get(status, 'the request is refused')}.")
        raise InventoryUnavailable(f"{self.source_name} answers {status}.")

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        self._spend(0, response.content_length or 0)
        body = bytearray()
        async for chunk in response.content.iter_chunked(65536):
            body += chunk
            self._spend(len(chunk), 0)
        return bytes(body)

    def _spend(self, read: int, announced: int) -> None:
        self._left -= read
        if self._left < announced:
            raise ConfigError(
                f"{self.source_name} is larger than {self._max_bytes // 2**20} MiB: that is no inventory."
            )

    def _next(self, url: URL, location: str) -> URL:
        try:
            target = url.join(URL(location))
        except ValueError:
            target = URL("about:blank")
        downgraded = url.scheme == "https" and target.scheme != "https"
        if target.scheme not in ("http", "https") or target.host != url.host or downgraded:
            raise ConfigError(f"{self.source_name} redirects to somewhere else, which is not followed.")
        return target


async def _socrata(reader: _Reader, url: URL) -> bytes:
    """Pages until a short one. A $limit in the address is the size of a page; $order keeps rows from moving between."""
    limit = int(url.query["$limit"]) if re.fullmatch(r"[1-9][0-9]{0,5}", url.query.get("$limit", "")) else SOCRATA_PAGE
    url = url.update_query({"$limit": str(limit), "$order": url.query.get("$order", ":id")})
    rows: list[Any] = []
    seen: set[bytes] = set()
    modified = None
    while True:
        page = await reader.read(url.update_query({"$offset": str(len(rows))}))
        answer = await reader.json(page)
        if not isinstance(answer, list):
            if rows:
                raise reader.changed()
            return page.body
        if (answer and page.body in seen) or (modified is not None and page.modified != modified):
            raise reader.changed()
        seen.add(page.body)
        modified = page.modified
        rows += answer
        if len(answer) != limit:
            return await asyncio.to_thread(_dump, rows)


async def _knack(reader: _Reader, url: URL) -> bytes:
    """All pages of one and the same list, as one page."""
    if "rows_per_page" not in url.query:
        url = url.update_query({"rows_per_page": str(KNACK_PAGE)})
    records: list[Any] = []
    ids: set[str] = set()
    pages = total = None
    number = 0
    while pages is None or number < pages:
        number += 1
        answer = await reader.json(await reader.read(url.update_query({"page": str(number)})))
        if not is_knack(answer) or not answer["records"]:
            raise reader.changed()
        announced = knack_number(answer, "total_pages"), knack_number(answer, "total_records")
        if announced != (pages or announced[0], total or announced[1]) or None in announced:
            raise reader.changed()
        if knack_number(answer, "current_page") not in (None, number):
            raise reader.changed()
        pages, total = announced
        new = {str(record["id"]) for record in answer["records"] if isinstance(record, dict) and record.get("id")}
        if new & ids:
            raise reader.changed()
        ids |= new
        records += answer["records"]
    if total != len(records):
        raise reader.changed()
    whole = {"total_pages": 1, "current_page": 1, "total_records": total, "records": records}
    return await asyncio.to_thread(_dump, whole)


def _dump(document: Any) -> bytes:
    return json.dumps(document).encode()


def _reason(error: Exception) -> str:
    """What went wrong, in our words: the library's own may repeat the address with its secrets."""
    match error:
        case TimeoutError():
            return "no answer in time"
        case aiohttp.ClientConnectorDNSError():
            return "its name does not resolve"
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return "its certificate or the TLS handshake failed"
        case aiohttp.ClientConnectorError():
            return "no connection"
        case aiohttp.ClientPayloadError() | aiohttp.ServerDisconnectedError():
            return "the answer broke off"
    return f"the answer or the connection failed ({type(error).__name__})"
