"""Trying a store out: write, read back, compare, delete."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

from cctv_images.clock import Clock
from cctv_images.errors import StoreError, plain
from cctv_images.publish.store import Lack, Publication, Receipt, Stat, Store, StoredObject

TTL_S = 300.0


async def try_out(
    store: Store, key: str, rights: Mapping[str, str], lost: str, clock: Clock, *, archive: bool = False
) -> list[Lack]:
    """What is missing; an empty list is a store that does all we need.

    rights: "put", "get", "list" and "delete" -> what the verb needs, named in the sentence where it is denied.
    lost: the sentence for a store that keeps neither expiry nor metadata. archive: see Store.canary.
    """
    body = b"\xff\xd8 cctv-images canary " + os.urandom(16)
    canary = Publication(key, body, "canary", clock.time(), None if archive else TTL_S, new=archive, hashed=archive)
    found: list[Lack] = []
    try:
        receipt = await store.put(canary)
    except StoreError as first:
        if first.reason != "lied":
            return [_lack("writing", first, rights["put"])]
        try:  # The proof may be found in the first answer (KMS).
            receipt = await store.put(replace(canary, new=False))
        except StoreError as error:
            return [_lack("writing", error, rights["put"])]
    try:
        if archive:
            found += await _look(store, canary, receipt, rights["list"])
        found += [Lack(sentence) for sentence in _differences(canary, receipt, await store.get(key), lost)]
    except StoreError as error:
        found.append(_lack("reading", error, rights["get"]))
    try:
        await store.delete(key)
    except StoreError as error:
        found.append(_lack("deleting", error, rights["delete"], f" The canary {key} is still there."))
    return found


async def _look(store: Store, canary: Publication, receipt: Receipt, right: str) -> list[Lack]:
    """Whether it can be seen without being read, an absent one too; and whether a second one replaces it."""
    try:
        absent = await store.head(f"{canary.key}-absent")
    except StoreError as error:
        return [_lack("looking for", error, right)]
    try:
        listed = [entry.key async for entry in store.list(canary.key)]
    except StoreError as error:
        return [_lack("listing", error, right)]
    found = [] if absent is None else [Lack("the store shows an object that is not there")]
    found += [] if canary.key in listed else [Lack("the store's listing lacks an object that is there")]
    if await store.head(canary.key) != Stat(len(canary.body), receipt.etag):
        why = "what the store says of an object is not its size and MD5"
        found.append(
            Lack(
                f'{why}; for ETags that are none, set "checksum" in the options',
                StoreError("refused", why, transient=False),
            )
        )
    try:
        await store.put(canary)
    except StoreError as error:
        if error.reason != "exists":
            raise
        store.exclusive = True
    return found


def _differences(written: Publication, receipt: Receipt, read: StoredObject, lost: str) -> list[str]:
    found = []
    if read.body != written.body:
        found.append("what is read back is not what was written")
    if read.content_type != written.content_type:
        found.append(
            f"Content-Type is not kept: {written.content_type} was written, {plain(read.content_type, 60)} read"
        )
    wanted = receipt.expires_at
    expiry_kept = wanted is None or (read.expires is not None and abs(read.expires - wanted) <= 1)
    if not read.metadata and not (expiry_kept and wanted is not None):
        return [*found, lost]
    if not expiry_kept:
        found.append("Expires is not kept: browsers and CDNs would show old pictures")
    if read.metadata.get("kind") != written.kind:
        found.append("metadata is not kept: captured-at, kind and error-state get lost")
    return found


def _lack(doing: str, error: StoreError, right: str, more: str = "") -> Lack:
    need = f" It needs {right}." if error.reason == "denied" else ""
    return Lack(f"{doing} the canary failed ({error.reason}): {error.detail}.{need}{more}", error)
