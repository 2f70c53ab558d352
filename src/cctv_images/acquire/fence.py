"""Which addresses may be asked at all, checked on the address that is really connected to."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

NEVER = ipaddress.ip_network("169.254.0.0/16")
"""Cloud metadata services live here; no camera does."""


class AddressRefused(OSError):
    """An address outside the fence. Its text names the address only."""


class Fence:
    """Every socket to a camera is made here, so that no spelling of a host name gets around the check."""

    def __init__(self, networks: Sequence[Network] = ()) -> None:
        self.networks = tuple(networks)

    def check(self, address: str) -> None:
        """address: an IP literal, with or without a zone. Raises AddressRefused."""
        ip = _ip_of(address)
        if ip in NEVER:
            raise AddressRefused(f"{ip} is never asked")
        if self.networks and not any(ip in network for network in self.networks):
            raise AddressRefused(f"{ip} is outside CCTV_CAMERA_NETWORKS")

    def open_socket(self, address_info: tuple[Any, ...]) -> socket.socket:
        """A socket for one getaddrinfo tuple (aiohttp's socket_factory). Raises AddressRefused."""
        family, kind, protocol, _, address = address_info
        self.check(address[0])
        return socket.socket(family, kind, protocol)


@lru_cache(maxsize=16_384)
def _ip_of(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    ip = ipaddress.ip_address(address.partition("%")[0])
    return (ip.ipv4_mapped or ip) if isinstance(ip, ipaddress.IPv6Address) else ip
