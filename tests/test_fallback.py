from __future__ import annotations

import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from cctv_images.errors import ConfigError
from cctv_images.process.fallback import MAX_BYTES, builtin_fallback, load_fallback
from cctv_images.process.verify import examine


def jpeg(width: int = 64, height: int = 64, **options: object) -> bytes:
    out = BytesIO()
    Image.effect_noise((width, height), 50).save(out, "JPEG", **options)
    return out.getvalue()


def problem(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_fallback(path)
    (sentence,) = caught.value.problems
    assert "CCTV_FALLBACK_IMAGE" in sentence
    assert str(path) in sentence
    return sentence


def test_the_builtin_fallback_is_a_small_picture_that_passes_our_own_test() -> None:
    picture = examine(builtin_fallback(), 1280 * 720)
    assert picture.data == builtin_fallback() == load_fallback(None)
    assert (picture.width, picture.height) == (1280, 720)
    assert len(picture.data) < 40_000


def test_the_builtin_fallback_has_the_same_bytes_in_every_process() -> None:
    code = "import sys; from cctv_images.process import builtin_fallback; sys.stdout.buffer.write(builtin_fallback())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert other == builtin_fallback()


def test_its_writing_stands_out_from_its_ground() -> None:
    with Image.open(BytesIO(builtin_fallback())) as image:
        low, high = image.convert("L").crop((150, 440, 1130, 560)).getextrema()
    assert low < 50
    assert high > 230


@pytest.mark.parametrize("trailer", [b"", b"\r\n", b"vendor" * 100])
def test_an_own_jpeg_is_used_byte_for_byte(tmp_path: Path, trailer: bytes) -> None:
    path = tmp_path / "own.jpg"
    own = jpeg() + trailer
    path.write_bytes(own)
    assert load_fallback(path) == own


def test_what_cannot_serve_as_fallback_is_told_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "own.jpg"
    assert "No such file" in problem(path)
    assert "not a file" in problem(tmp_path)
    for body, said in (
        (b"", "not a JPEG"),
        (b"<html>", "not a JPEG"),
        (jpeg()[:-50], "not whole"),
        (b"\xff\xd8\xff", "ends before"),
    ):
        path.write_bytes(body)
        assert said in problem(path)
    Image.new("RGB", (64, 64)).save(path, "PNG")
    assert "not a JPEG" in problem(path)
    path.write_bytes(jpeg() + bytes(MAX_BYTES))
    assert "bytes" in problem(path)
    path.write_bytes(jpeg().replace(b"\0\x40\0\x40", b"\xff\x00\xff\x00", 1))
    assert "pixels" in problem(path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    assert "not a file" in problem(path)
