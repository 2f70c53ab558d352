"""Trying a store out: write, read back, compare, delete."""

from __future__ import annotations

import os
from collections.abc import Mapping

from cctv_images.clock import Clock
from cctv_images.errors import StoreError, plain
from cctv_images.publish.store import Publication, Receipt, Store, StoredObject

TTL_S = 300.0


async def try_out(store: Store, key: str, rights: Mapping[str, str], lost: str, clock: Clock) -> list[str]:
    """Sentences on what is missing; an empty list is a store that does all we need.

    rights: "put", "get" and "delete" -> what the verb needs, named in the sentence where it is denied.
    lost: the sentence for a store that keeps neither expiry nor metadata.
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
        found += _differences(canary, receipt, await store.get(key), lost)
    except StoreError as error:
        found.append(_sentence("reading", error, rights["get"]))
    try:
        await store.delete(key)
    except StoreError as error:
        found.append(_sentence("deleting", error, rights["delete"]) + f" The canary {key} is still there.")
    return found


def _differences(written: Publication, receipt: Receipt, read: StoredObject, lost: str) -> list[str]:
    found = []
    if read.body != written.body:
        found.append("what is read back is not what was written")
    if read.content_type != written.content_type:
        found.append(
            f"Content-Type is not kept: {written.content_type} was written, {plain(read.content_type, 60)} read"
        )
    expiry_kept = read.expires is not None and abs(read.expires - receipt.expires_at) <= 1
    if not read.metadata and not expiry_kept:
        return [*found, lost]
    if not expiry_kept:
        found.append("Expires is not kept: browsers and CDNs would show old pictures")
    if read.metadata.get("kind") != written.kind:
        found.append("metadata is not kept: captured-at, kind and error-state get lost")
    return found


def _sentence(doing: str, error: StoreError, right: str) -> str:
    need = f" It needs {right}." if error.reason == "denied" else ""
    return f"{doing} the canary failed ({error.reason}): {error.detail}.{need}"
