"""Four ways to trust a camera's certificate; one context each, shared by all cameras.

One context per camera would cost 36 ms of a blocked loop and 743 kB each. Cameras of the 2000s speak TLS 1.0 with
suites and keys that OpenSSL 3 refuses below security level 0; turning verification off alone does not help them.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trust:
    context: ssl.SSLContext
    pin: bytes | None = None
    """SHA-256 of the certificate's DER that alone is accepted."""


class TrustPolicies:
    """Contexts are made when first needed, off the loop."""

    def __init__(self) -> None:
        self._contexts: dict[str, asyncio.Task[ssl.SSLContext]] = {}

    async def get(self, policy: str) -> Trust:
        """policy: verify, insecure, legacy or pin:<sha256 in hex>."""
        kind, _, pin = policy.partition(":")
        kind = "insecure" if kind == "pin" else kind
        making = self._contexts.get(kind)
        if making is None or (making.done() and making.exception()):
            making = asyncio.create_task(asyncio.to_thread(_make, kind), name=f"tls-{kind}")
            self._contexts[kind] = making
        context = await asyncio.shield(making)
        return Trust(context, bytes.fromhex(pin.replace(":", "")) if pin else None)


def _make(kind: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    if kind != "verify":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if kind == "legacy":
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.options |= getattr(ssl, "OP_LEGACY_SERVER_CONNECT", 0x4)
    return context
