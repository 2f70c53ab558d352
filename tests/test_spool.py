"""What the spool has accepted is there, whole and once, until it is removed: under its name, within its limit."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from needs import needs, run_or_skip

from cctv_images.archiving import orphans
from cctv_images.errors import ConfigError
from cctv_images.retain.spool import Damaged, Draft, Refused, Spool
from cctv_images.retain.spool_home import is_known, orphans_mistake, tag
from cctv_images.retain.spooled import Spooled
from cctv_images.settings import Settings

ARCHIVE = "file:///kept"
NOON = 1_772_366_400.0


def draft(camera_id: str = "134", at: float = NOON, body: bytes = b"\xff\xd8 one") -> Draft:
    return Draft(camera_id, at + 0.25, at, body, hashlib.md5(body).hexdigest())


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path / "spool", ARCHIVE, 1 << 20)
    assert made.open() == ""
    yield made
    made.close()


def reopened(spool: Spool) -> Spool:
    spool.close()
    again = Spool(spool.home.parent, ARCHIVE, spool.limit)
    again.open()
    return again


def accepted(spool: Spool, *drafts: Draft) -> list[Spooled]:
    results = spool.accept(drafts)
    assert all(isinstance(result, Spooled) for result in results), results
    return [result for result in results if isinstance(result, Spooled)]


def files(spool: Spool) -> list[str]:
    return sorted(str(path.relative_to(spool.home)) for path in spool.home.rglob("*.jpg"))


def test_an_entry_is_the_pictures_bytes_and_its_name_says_the_rest(spool: Spool) -> None:
    (entry,) = accepted(spool, draft())
    path = spool.home / entry.folder / entry.name
    assert path.read_bytes() == b"\xff\xd8 one"
    assert entry.folder == "20260301T1200"
    assert entry.key == "134/2026/03/01/120000Z.jpg"
    assert (entry.captured_at, entry.slot) == (NOON, NOON + 0.25)
    assert Spooled.of(path.name) == entry
    assert (spool.home / "address").read_text() == f"{ARCHIVE}\n"


def test_a_restart_finds_what_was_accepted_and_removes_what_was_half_written(spool: Spool) -> None:
    entries = accepted(spool, draft("a"), draft("b", NOON + 60), draft("c", NOON - 86_400))
    (spool.home / "new" / "7").write_bytes(b"\xff\xd8 ha")
    again = reopened(spool)
    assert [entry.camera_id for entry in again.scan()] == ["c", "a", "b"]
    assert set(again.scan()) == set(entries)
    assert (again.entries, again.bytes) == (3, sum(entry.size for entry in entries))
    assert os.listdir(again.home / "new") == []
    again.close()


def test_different_pictures_of_one_second_have_numbers_and_the_same_picture_keeps_its_own(spool: Spool) -> None:
    one, two = draft(body=b"one"), draft(body=b"two")
    first, second, again = accepted(spool, one, two, replace(one, slot=NOON + 99))
    assert [entry.key[-13:] for entry in (first, second, again)] == [
        "1/120000Z.jpg", "120000Z-2.jpg", "1/120000Z.jpg",
    ]  # fmt: skip


def test_numbers_are_remembered_by_the_disk_alone(spool: Spool) -> None:
    accepted(spool, draft(body=b"one"), draft(body=b"two"))
    again = reopened(spool)
    (third,) = accepted(again, draft(body=b"three"))
    (second,) = accepted(again, replace(draft(body=b"two"), slot=NOON + 99))
    assert (third.number, second.number) == (3, 2)
    again.close()


def test_a_number_that_is_taken_in_the_archive_is_changed_for_one_that_nobody_has(spool: Spool) -> None:
    first, _ = accepted(spool, draft(body=b"one"), draft(body=b"two"))
    moved = spool.renumber(first)
    assert moved.number == 3
    assert {entry.number for entry in spool.scan()} == {2, 3}
    assert spool.read(moved) == b"one"
    assert accepted(spool, draft(body=b"four"))[0].number == 4
    assert spool.entries == 3


def test_what_does_not_fit_is_refused_with_the_reason(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", ARCHIVE, 10)
    spool.open()
    first, second = spool.accept([draft("a", body=b"12345678"), draft("b", body=b"12345678")])
    assert isinstance(first, Spooled)
    assert second == Refused("spool_full", "its limit is 10 bytes")
    spool.remove([first])
    assert isinstance(spool.accept([draft("b", body=b"12345678")])[0], Spooled)
    spool.close()


def test_the_same_picture_of_the_same_slot_is_one_entry(spool: Spool) -> None:
    accepted(spool, draft(), draft())
    assert (spool.entries, spool.bytes, len(files(spool))) == (1, 6, 1)


def test_a_folder_that_cannot_be_made_leaves_nothing_behind(spool: Spool) -> None:
    (spool.home / "20260301T1200").write_text("in the way")
    (refused,) = spool.accept([draft()])
    assert refused == Refused("spool_failed", "Not a directory")
    assert os.listdir(spool.home / "new") == []


def test_a_disk_that_could_not_be_read_at_the_start_is_counted_later(spool: Spool) -> None:
    accepted(spool, draft("a"))
    spool.close()
    (spool.home / "new" / "odd").mkdir()
    again = Spool(spool.home.parent, ARCHIVE, spool.limit)
    assert again.open() == "Is a directory"
    (spool.home / "new" / "odd").rmdir()
    accepted(again, draft("b"))
    assert again.entries == 2
    again.close()


def test_the_oldest_are_found_first(spool: Spool) -> None:
    accepted(spool, *(draft("a", NOON + 60 * n, b"x" * 100) for n in range(5)))
    assert [entry.captured_at for entry in spool.oldest(150)] == [NOON, NOON + 60]


def test_what_is_no_longer_what_was_accepted_is_told_and_can_be_set_aside(spool: Spool) -> None:
    (entry,) = accepted(spool, draft(body=b"whole"))
    (spool.home / entry.folder / entry.name).write_bytes(b"whol\0")
    with pytest.raises(Damaged):
        spool.read(entry)
    spool.set_aside(entry)
    assert (spool.entries, spool.bytes) == (0, 0)
    assert files(spool) == [f"damaged/{entry.name}"]


def test_removed_entries_count_once_and_their_folders_go_when_nobody_writes_there(spool: Spool) -> None:
    entries = accepted(spool, *(draft("a", NOON + 60 * n) for n in range(6)))
    spool.remove(entries)
    spool.remove(entries)
    assert (spool.entries, spool.bytes) == (0, 0)
    spool.sweep()
    assert len([path for path in spool.home.iterdir() if path.name.startswith("2026")]) == 4
    accepted(spool, draft("a", NOON))


def test_two_processes_never_share_a_spool(spool: Spool) -> None:
    with pytest.raises(ConfigError, match="in use by another process"):
        Spool(spool.home.parent, ARCHIVE, 10).open()


def test_a_spool_of_another_archive_stops_the_start_with_number_and_address(spool: Spool) -> None:
    root = spool.home.parent
    accepted(spool, draft("a"), draft("b"))
    spool.close()
    for archive, said in (("", "is not set"), ("s3://other", "is s3://other")):
        mistake = orphans_mistake(root, archive)
        assert mistake is not None
        assert mistake.startswith(f"CCTV_ARCHIVE {said}, and 2 pictures wait in {spool.home} for {ARCHIVE}: ")
        with pytest.raises(ConfigError, match="2 pictures wait"):
            Spool(root, archive or "s3://x", 10).open()
    assert orphans_mistake(root, ARCHIVE) is None
    assert is_known(root, ARCHIVE)
    assert not is_known(root, "s3://other")


def test_a_spool_that_cannot_be_looked_at_is_told_in_a_sentence(tmp_path: Path) -> None:
    settings = Settings(inventory="-", store="file:///-", state_dir=tmp_path / ("x" * 300))
    assert str(orphans(settings)).endswith(": the spool cannot be read (File name too long).")


def test_an_empty_spool_of_another_archive_stops_nobody(spool: Spool) -> None:
    spool.close()
    other = Spool(spool.home.parent, "s3://other", 10)
    other.open()
    assert other.home.name == tag("s3://other")
    other.close()


def test_a_folder_that_may_not_be_written_is_a_mistake_and_a_full_disk_is_not(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file")
    with pytest.raises(ConfigError, match="CCTV_STATE_DIR"):
        Spool(tmp_path / "spool", ARCHIVE, 10).open()


def test_a_full_disk_refuses_leaves_no_rest_and_a_reserve_and_heals(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    run_or_skip("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk)
    try:
        spool = Spool(disk / "spool", ARCHIVE, 1 << 30)
        assert spool.open() == ""
        results = spool.accept([draft("a", NOON + n, bytes(100_000)) for n in range(20)])
        kept = [result for result in results if isinstance(result, Spooled)]
        assert 0 < len(kept) < 20
        assert {result.reason for result in results if isinstance(result, Refused)} == {"spool_full"}
        assert os.listdir(spool.home / "new") == []
        assert (disk / "ledger").write_bytes(bytes(30_000))  # the reserve
        spool.remove(kept)
        assert isinstance(spool.accept([draft("b", body=bytes(100_000))])[0], Spooled)
        (disk / "filler").write_bytes(bytes(os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize))
        spool.close()
        again = Spool(disk / "spool", ARCHIVE, 1 << 30)
        assert again.open() != ""  # the service runs, and publishes
        assert again.entries == 1
        again.close()
    finally:
        subprocess.run(["umount", disk], check=True)


FLUSHED = """
import sys
from pathlib import Path
from cctv_images.retain.spool import Draft, Spool
spool = Spool(Path(sys.argv[1]), "file:///kept", 1 << 20)
spool.open()
print("begin", file=sys.stderr)
spool.accept([Draft("a", 0.0, 1772366400.0, b"body", "0" * 32)])
"""


@needs("strace")
def test_nothing_is_accepted_before_file_and_folder_are_flushed(tmp_path: Path) -> None:
    """The order of the calls is the promise about power cuts."""
    run_or_skip("strace", "-qq", "-o", "/dev/null", "true")
    trace = tmp_path / "trace"
    calls = "openat,write,fsync,rename,renameat,renameat2,mkdir,close"
    subprocess.run(
        ["strace", "-f", "-y", "-e", f"trace={calls}", "-o", trace, sys.executable, "-c", FLUSHED, tmp_path / "spool"],
        check=True,
        capture_output=True,
    )
    lines = trace.read_text().split("write(2", 1)[1].splitlines()
    steps = [
        "write" if "write(" in line and "/new/" in line
        else "fsync file" if "fsync(" in line and "/new/" in line
        else "make" if "mkdir" in line and "20260301T1200" in line
        else "rename" if "rename" in line and "20260301T1200/a~" in line
        else "fsync folder" if "fsync(" in line and "20260301T1200" in line
        else "fsync above" if "fsync(" in line and "spool/" in line
        else ""
        for line in lines
    ]  # fmt: skip
    assert [step for step in steps if step] == [
        "write", "fsync file", "make", "fsync above", "rename", "fsync folder",
    ]  # fmt: skip
