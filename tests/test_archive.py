"""Pictures that are kept: from the cycle through the spool into the archive, by the real daemon and in parts."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

from program import stop, until
from test_service import Service, local, on_s3  # noqa: F401 - fixtures
from zoo import zoo_of

ARCHIVE = "file:///kept"
NOON = 1_772_366_400.0
KEY = re.compile(r"[\w.-]+/\d{4}/\d\d/\d\d/\d{6}Z(-\d+)?\.jpg")


def copies(folder: Path) -> dict[str, bytes]:
    """Key -> body of all that an archive's folder holds, half-written or not."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def spooled(state: Path) -> list[Path]:
    return list((state / "spool").glob("*/2*/*.jpg"))


async def test_the_daemon_keeps_each_verified_picture_and_no_fallback(local: Service) -> None:  # noqa: F811
    kept = local.folder / "kept"
    async with zoo_of(
        {"a": ("pelco-open", "none"), "b": ("pelco-open", "none"), "sick": ("wisenet", "truncated")}
    ) as z:
        local.furnish(z, CCTV_ARCHIVE=f"file://{kept}", CCTV_INTERVAL="5")
        async with local.running("run") as daemon:
            await until(lambda: len([key for key in copies(kept) if KEY.fullmatch(key)]) >= 4 if kept.exists() else 0)
            shown = json.loads(await local.get("/api/cameras"))["fleet"]["archive"]
            assert await stop(daemon) == 0
    assert shown["address"] == f"file://{kept}"
    found = copies(kept)
    assert all(KEY.fullmatch(key) for key in found), found.keys()
    assert {key.split("/")[0] for key in found} == {"a", "b"}
    assert spooled(local.folder / "state") == []
    public = (local.folder / "store/image/a.jpg").read_bytes()
    newest = max(key for key in found if key.startswith("a/"))
    assert found[newest] == public
    assert os.getxattr(kept / newest, "user.content-md5").decode() == hashlib.md5(public).hexdigest()
    assert (kept / newest).stat().st_mode & 0o777 == 0o640
