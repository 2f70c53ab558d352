"""Deleting many keys of a bucket in one request (DeleteObjects). What the answer does not name as deleted is not."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from cctv_images.errors import StoreError, plain
from cctv_images.publish.s3_wire import Answer

AT_ONCE = 1000
"""Keys in one request; S3 takes no more."""
UNKNOWN_HERE = frozenset({405, 501})
"""What servers answer that have no DeleteObjects."""


def deletion(keys: Sequence[str]) -> tuple[dict[str, str], bytes]:
    """Headers and body. Some servers insist on the MD5."""
    named = "".join(f"<Object><Key>{escape(key)}</Key></Object>" for key in keys)
    body = f'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{named}</Delete>'.encode()
    md5 = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    return {"Content-Type": "application/xml", "Content-MD5": md5}, body


def prove_deleted(answer: Answer, keys: Sequence[str]) -> None:
    """Raises StoreError unless each key was deleted."""
    try:
        if b"<!DOCTYPE" in answer.body[:1000]:
            raise ValueError("a document type")
        root = ElementTree.fromstring(answer.body)  # noqa: S314 - no document type, and expat bounds what is left
        name_space = root.tag.rpartition("}")[0]
        ns = f"{name_space}}}" if name_space else ""
        deleted = {item.findtext(f"{ns}Key") for item in root.iterfind(f"{ns}Deleted")}
        refused = [item.findtext(f"{ns}Code") for item in root.iterfind(f"{ns}Error")]
    except (ElementTree.ParseError, ValueError) as exc:
        raise StoreError("lied", f"200 with no readable list of what was deleted: {plain(exc, 120)}") from None
    if missing := set(keys) - deleted:
        why = f" ({plain(refused[0], 40)})" if refused else ""
        reason = "denied" if "AccessDenied" in refused else "refused"
        raise StoreError(reason, f"{len(missing)} of {len(keys)} keys were not deleted{why}", transient=False)
