"""The strict way: aiohttp, one connection per request, nothing followed, repeated, unpacked or remembered by itself."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import aiohttp
from yarl import URL

from cctv_images.acquire.classify import classify
from cctv_images.acquire.connector import CameraConnector
from cctv_images.acquire.exchange import HEADERS, Asking, ClosedEarly, ProtocolError
from cctv_images.acquire.fence import Fence
from cctv_images.acquire.resolver import Resolver
from cctv_images.acquire.tls import TrustPolicies
from cctv_images.acquire.trace import Trace
from cctv_images.errors import ErrorState


class StrictWay:
    """connect_s: seconds for name, connection and TLS together."""

    def __init__(self, fence: Fence, resolver: Resolver, trust: TrustPolicies, connect_s: float) -> None:
        self._fence = fence
        self._resolver = resolver
        self._trust = trust
        self._timeout = aiohttp.ClientTimeout(total=None, connect=connect_s, ceil_threshold=3600)
        self._session: aiohttp.ClientSession | None = None
        self._traced: aiohttp.ClientSession | None = None

    async def ask(self, asking: Asking) -> StrictReply:
        session = self._open(asking.trace)
        try:
            tls = await self._ssl(asking) if asking.place.scheme == "https" else True
            response = await session.request(
                asking.method,
                asking.place.url,
                data=asking.body or None,
                headers=_headers(asking),
                allow_redirects=False,
                ssl=tls,
                trace_request_ctx=asking.trace,
            )
        except aiohttp.ClientResponseError:  # its status and text are the parser's, not the camera's
            raise ProtocolError from None
        except (aiohttp.ClientError, OSError) as error:
            raise classify(error) from None
        return StrictReply(response)

    async def close(self) -> None:
        for session in (self._traced, self._session):
            if session is not None:
                await session.close()
        self._session = self._traced = None

    async def _ssl(self, asking: Asking) -> Any:
        trust = await self._trust.get(asking.tls)
        return aiohttp.Fingerprint(trust.pin) if trust.pin else trust.context

    def _open(self, trace: Trace | None) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = self._new_session(CameraConnector(self._fence, self._resolver))
        if trace is None:
            return self._session
        if self._traced is None:
            self._traced = self._new_session(self._session.connector, connector_owner=False, trace_configs=[_phases()])
        return self._traced

    def _new_session(self, connector: aiohttp.BaseConnector | None, **more: Any) -> aiohttp.ClientSession:
        session = aiohttp.ClientSession(
            connector=connector,
            headers=HEADERS,
            cookie_jar=_NoCookies(),
            auto_decompress=False,
            trust_env=False,
            timeout=self._timeout,
            **more,
        )
        # aiohttp would send a request again by itself when the camera closes without an answer.
        session._retry_connection = False
        return session


class _NoCookies(aiohttp.DummyCookieJar):
    """Does not even parse them: aiohttp would log the names of odd ones."""

    def update_cookies_from_headers(self, headers: Sequence[str], response_url: URL) -> None:
        pass


class StrictReply:
    """An answer whose head aiohttp has accepted."""

    __slots__ = ("_response", "headers", "length", "reason", "status")
    enough = False

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.reason = response.reason or ""
        self.headers = response.headers
        self.length = response.content_length if "Transfer-Encoding" not in response.headers else None

    async def read(self) -> bytes:
        try:
            return await self._response.content.readany()
        except aiohttp.ClientPayloadError as error:
            if isinstance(error.__cause__, aiohttp.http_exceptions.ContentLengthError):
                raise ClosedEarly from None
            raise ProtocolError from None
        except (aiohttp.ClientError, OSError) as error:
            known = classify(error)
            if known.state is ErrorState.DISCONNECTED:
                raise ClosedEarly from None
            raise known from None

    def close(self) -> None:
        self._response.close()


def _headers(asking: Asking) -> dict[str, str]:
    """The login's header too. aiohttp cannot send a realm in Latin-1 back as it came; the tolerant way can."""
    if asking.authorization is None:
        return dict(asking.headers)
    try:
        asking.authorization.encode()
    except UnicodeEncodeError:
        raise ProtocolError from None
    return {**asking.headers, "Authorization": asking.authorization}


def _phases() -> aiohttp.TraceConfig:
    """Notes when name and connection are there."""

    async def note(phase: str, text: str, context: SimpleNamespace) -> None:
        trace: Trace = context.trace_request_ctx
        trace.add(phase, text)

    async def resolved(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
        await note("resolve", "name resolved", context)

    async def connected(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
        await note("connect", "connected", context)

    phases = aiohttp.TraceConfig()
    phases.on_dns_resolvehost_end.append(resolved)
    phases.on_connection_create_end.append(connected)
    return phases
