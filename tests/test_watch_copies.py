"""Copies for the page: nobody waits for the disk."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cctv_images.errors import ConfigError
from cctv_images.watch import copies as subject
from cctv_images.watch.copies import Copies

KEY = "image/c1.jpg"


@pytest.fixture
def troubles() -> list[str]:
    return []


@pytest.fixture
def copies(tmp_path: Path, troubles: list[str]) -> Iterator[Copies]:
    made = Copies(tmp_path / "current", troubles.append)
    yield made
    made.close()


def until(seen: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def holds(path: Path, body: bytes) -> bool:
    return path.exists() and path.read_bytes() == body


def test_a_copy_is_replaced_whole_and_leaves_nothing_beside_it(copies: Copies) -> None:
    for body in (b"a" * 300_000, b"b" * 200_000):
        copies.keep(KEY, body)
        until(lambda body=body: holds(copies.root / KEY, body))
    assert sorted(os.listdir(copies.root)) == ["image"]
    assert os.listdir(copies.root / "image") == ["c1.jpg"]


def test_of_copies_that_wait_the_newest_is_kept_and_the_rest_is_left_out(
    tmp_path: Path, troubles: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "MAX_WAITING_BYTES", 100)
    root = tmp_path / "current"
    root.mkdir()
    os.mkfifo(root / ".new")  # opening it for writing hangs until somebody reads
    copies = Copies(root, troubles.append)
    began = time.monotonic()
    copies.keep("first", b"1" * 90)
    until(lambda: not copies._waiting)
    for n in range(50):
        copies.keep(KEY, b"%02d" % n * 30)
        copies.keep("too-many", b"x" * 41)
    assert time.monotonic() - began < 5
    assert troubles == ["the disk does not keep up"]
    with (root / ".new").open("rb") as reader:
        reader.read()
    until(lambda: holds(root / KEY, b"49" * 30))
    copies.close()


def test_a_disk_in_trouble_is_told_once_until_it_is_well(copies: Copies, troubles: list[str]) -> None:
    (copies.root / "image").write_text("in the way")
    for _ in range(3):
        copies.keep(KEY, b"body")
        until(lambda: troubles and not copies._waiting)
    assert len(troubles) == 1
    (copies.root / "image").unlink()
    copies.keep(KEY, b"body")
    until(lambda: holds(copies.root / KEY, b"body"))
    copies.keep("image/c1.jpg/below a file", b"body")
    until(lambda: len(troubles) == 2)


def test_a_folder_that_cannot_be_made_is_a_mistake_in_the_settings(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be made"):
        Copies(tmp_path / "not there" / "current", print)
