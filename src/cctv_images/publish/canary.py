"""Trying a store out: write, read back, compare, delete."""

from __future__ import annotations

import os
from collections.abc import Mapping

from cctv_images.clock import Clock
from cctv_images.errors import StoreError
from cctv_images.publish.store import Publication, Store

TTL_S = 300.0


async def try_out(store: Store, key: str, rights: Mapping[str, str], clock: Clock) -> list[str]:
    """Sentences on what is missing; an empty list is a store that does all we need.

    rights: "put", "get" and "delete" -> what the verb needs, named in the sentence where it is denied.
    """
    body = b"\xff\xd8 cctv-images canary " + os.urandom(16)
    canary = Publication(key, body, "canary", clock.time(), TTL_S)
    found: list[str] = []
    try:
        receipt = await store.put(canary)
    except StoreError as first:
        if first.reason != "lied":
            return [_sentence("writing", first, rights["put"])]
        try:  # The proof may be found in the first answer (KMS).
            receipt = await store.put(canary)
        except StoreError as error:
            return [_sentence("writing", error, rights["put"])]
    try:
        stored = await store.get(key)
        if stored.body != body:
            found.append("what is read back is not what was written")
        if stored.content_type != canary.content_type:
            found.append(f"Content-Type is not kept: {canary.content_type} was written, {stored.content_type} is read")
        if stored.expires is None or abs(stored.expires - receipt.expires_at) > 1:
            found.append("Expires is not kept: browsers and CDNs would show old pictures")
        if stored.metadata.get("kind") != canary.kind:
            found.append("metadata is not kept: captured-at, kind and error-state get lost")
    except StoreError as error:
        found.append(_sentence("reading", error, rights["get"]))
    try:
        await store.delete(key)
    except StoreError as error:
        found.append(_sentence("deleting", error, rights["delete"]) + f" The canary {key} is still there.")
    return found


def _sentence(doing: str, error: StoreError, right: str) -> str:
    need = f" It needs {right}." if error.reason == "denied" else ""
    return f"{doing} the canary failed ({error.reason}): {error.detail}.{need}"
