"""aiohttp's connections as cameras need them: used once, checked against the fence, without a thread on the way."""

from __future__ import annotations

import asyncio
import socket
from functools import partial
from typing import Any

import aiohttp

from cctv_images.acquire.fence import Fence
from cctv_images.acquire.handler import BoundedHandler
from cctv_images.acquire.resolver import Resolver


class CameraConnector(aiohttp.TCPConnector):
    """Build it inside the loop that uses it."""

    def __init__(self, fence: Fence, resolver: Resolver) -> None:
        super().__init__(
            limit=0,
            force_close=True,  # cameras close kept connections without a word, and the next cycle is minutes away
            use_dns_cache=False,
            resolver=resolver,
            family=socket.AF_UNSPEC,
            socket_factory=fence.open_socket,
        )
        self._fence = fence
        self._factory = partial(BoundedHandler, loop=asyncio.get_running_loop())  # type: ignore[assignment]

    async def _wrap_create_connection(
        self, *args: Any, addr_infos: list[Any], req: aiohttp.ClientRequest, timeout: aiohttp.ClientTimeout, **more: Any
    ) -> Any:
        """aiohttp connects by loop.sock_connect, for which uvloop looks up even a bare address in libuv's few threads
        (uvloop 0.23): all cameras wait behind the store's name server, and a fifth of a fetch is spent on it."""
        family, _, protocol, _, (host, port, *_) = addr_infos[0]
        if len(addr_infos) > 1 or family != socket.AF_INET or more.get("ssl"):
            return await super()._wrap_create_connection(*args, addr_infos=addr_infos, req=req, timeout=timeout, **more)
        try:
            self._fence.check(host)
            return await self._loop.create_connection(
                self._factory, host, port, family=family, proto=protocol, flags=socket.AI_NUMERICHOST
            )
        except OSError as error:
            raise aiohttp.ClientConnectorError(req.connection_key, error) from error
