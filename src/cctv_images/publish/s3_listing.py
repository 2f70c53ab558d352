"""A page of a bucket's listing (ListObjectsV2), read strictly: anything but a whole page is an error, never nothing."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from urllib.parse import unquote_plus
from xml.etree import ElementTree

from cctv_images.errors import StoreError, plain
from cctv_images.publish.s3_wire import Answer
from cctv_images.publish.store import Entry

MAX_PAGE = 16 << 20
"""Bytes. A thousand keys of 1,024 bytes, each byte written as %XX, are 3 MB."""


class Page(NamedTuple):
    entries: list[Entry]
    token: str | None
    """What to ask for the next page with; None: this is the last one."""


def asked(prefix: str, start_after: str, token: str | None) -> dict[str, str]:
    """The query for a page. Keys come percent-encoded, since XML cannot hold every character that a key can."""
    query = {"list-type": "2", "encoding-type": "url", "prefix": prefix}
    if token is not None:
        return query | {"continuation-token": token}
    return query | ({"start-after": start_after} if start_after else {})


def read_page(answer: Answer, base: str, prefix: str) -> Page:
    """base: what is cut off the front of each key. Raises StoreError("lied")."""
    try:
        if b"<!DOCTYPE" in answer.body[:1000]:
            raise ValueError("a document type")
        root = ElementTree.fromstring(answer.body)  # noqa: S314 - no document type, and expat bounds what is left
        name_space, _, name = root.tag.rpartition("}")
        if name != "ListBucketResult":
            raise ValueError(f"<{plain(name, 40)}>")
        return _page(root, f"{name_space}}}" if name_space else "", base, prefix)
    except (ElementTree.ParseError, ValueError, KeyError) as exc:
        kind = plain(answer.headers.get("Content-Type", "no type"), 40)
        raise StoreError(
            "lied", f"200 with no readable page of a listing ({kind}): {plain(exc, 120)}", transient=False
        ) from None


def _page(root: ElementTree.Element, ns: str, base: str, prefix: str) -> Page:
    decoded = root.findtext(f"{ns}EncodingType") == "url"
    entries = [_entry(item, ns, decoded, base, prefix) for item in root.iterfind(f"{ns}Contents")]
    count = root.findtext(f"{ns}KeyCount")
    if count is not None and int(count) != len(entries):
        raise ValueError(f"it says {int(count)} keys and has {len(entries)}")
    truncated, token = root.findtext(f"{ns}IsTruncated"), root.findtext(f"{ns}NextContinuationToken")
    if truncated not in ("true", "false"):
        raise ValueError("it does not say whether it is the last one")
    if truncated == "true" and not token:
        raise ValueError("it is not the last one and names no next one")
    # A marker that consoles make for the prefix itself is no object below it.
    return Page([entry for entry in entries if entry.key], token if truncated == "true" else None)


def _entry(item: ElementTree.Element, ns: str, decoded: bool, base: str, prefix: str) -> Entry:
    said = {child.tag: child.text for child in item}
    key = said[f"{ns}Key"] or ""
    if decoded:
        key = unquote_plus(key, errors="strict")
    if not key.startswith(prefix):
        raise ValueError(f"it names {plain(key, 60)}, which is not what was asked for")
    etag = (said.get(f"{ns}ETag") or "").strip('"')
    modified = datetime.fromisoformat(said[f"{ns}LastModified"] or "").timestamp()
    return Entry(key[len(base) :], int(said[f"{ns}Size"] or ""), etag or None, modified)
