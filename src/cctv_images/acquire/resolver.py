"""Names resolve without threads: a name server that hangs holds up nobody but its own cameras."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections.abc import Sequence

import aiodns
from aiodns.error import ARES_ENOTFOUND, DNSError
from aiohttp.abc import AbstractResolver, ResolveResult

FORGET_S = 60.0
"""c-ares remembers "no such name" for as long as the zone says, often an hour: never longer than this here."""


class Unresolved(OSError):
    """No address for a name. Its text is safe to show."""


class Resolver(AbstractResolver):
    """aiohttp's resolver over c-ares. limit_s: seconds one name may take. nameservers: instead of resolv.conf's.

    Positive answers live as long as their TTL; /etc/hosts is read; IP literals come back as they are.
    """

    def __init__(self, limit_s: float, nameservers: Sequence[str] = ()) -> None:
        self._limit_s = limit_s
        self._nameservers = tuple(nameservers)
        self._dns: aiodns.DNSResolver | None = None
        self._forgotten = 0.0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises Unresolved."""
        literal = _literal(host, port)
        if literal is not None:
            return [literal]
        try:
            async with asyncio.timeout(self._limit_s):
                found = await self._ask(host, port, family)
        except TimeoutError:
            raise Unresolved(f"no name server answered within {self._limit_s:g} s") from None
        except DNSError as error:
            raise Unresolved(str(error.args[-1])) from None
        if not found:
            raise Unresolved("the name has no address")
        return found

    async def _ask(self, host: str, port: int, family: int) -> list[ResolveResult]:
        dns = self._dns = self._dns or aiodns.DNSResolver(
            nameservers=self._nameservers or None, timeout=max(0.5, self._limit_s / 3), tries=2
        )
        now = time.monotonic()
        kind = socket.AddressFamily(family)
        try:
            answer = await dns.getaddrinfo(host, family=kind, port=port, type=socket.SOCK_STREAM)
        except DNSError as error:
            if error.args[0] == ARES_ENOTFOUND and now - self._forgotten >= FORGET_S:
                self._forgotten = now
                dns._channel.reinit()  # aiodns has no public way to empty the cache; the next cycle asks afresh
            raise
        return [_result(host, node.addr[0].decode(), port, node.family) for node in answer.nodes]

    async def close(self) -> None:
        if self._dns is not None:
            await self._dns.close()
            self._dns = None


def _literal(host: str, port: int) -> ResolveResult | None:
    try:
        ip = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return _result(host, host, port, socket.AF_INET if ip.version == 4 else socket.AF_INET6)


def _result(hostname: str, host: str, port: int, family: int) -> ResolveResult:
    return ResolveResult(
        hostname=hostname,
        host=host,
        port=port,
        family=socket.AddressFamily(family),
        proto=socket.IPPROTO_TCP,
        flags=socket.AI_NUMERICHOST,
    )
