from __future__ import annotations

import asyncio
import hashlib
import random
import re
import resource
import struct
import time
import zlib
from io import BytesIO

import pytest
from pictures import encoded, scene, segment
from PIL import Image

from cctv_images.errors import CameraError, ErrorState
from cctv_images.process.processor import Processor
from cctv_images.process.render import Picture
from cctv_images.process.verify import examine

MAX_PIXELS = 50_000_000
EOI = b"\xff\xd9"
TRUNCATED, NOT_AN_IMAGE, TOO_LARGE = ErrorState.TRUNCATED, ErrorState.NOT_AN_IMAGE, ErrorState.TOO_LARGE


KINDS = {
    "4:2:0": encoded(scene(), subsampling=2),
    "4:2:2": encoded(scene(), subsampling=1),
    "4:4:4": encoded(scene(), subsampling=0),
    "high quality": encoded(scene(), quality=97, subsampling=0),
    "low quality": encoded(scene(), quality=15),
    "odd size": encoded(scene(643, 357)),
    "grey": encoded(scene(mode="L")),
    "CMYK": encoded(scene(mode="CMYK")),
    "optimized tables": encoded(scene(), optimize=True),
    "restart each row": encoded(scene(), restart_marker_rows=1),
    "restart each unit": encoded(scene(), restart_marker_blocks=1),
    "restart within rows": encoded(scene(643, 357), restart_marker_blocks=7),
    "progressive": encoded(scene(), progressive=True),
    "progressive grey": encoded(scene(mode="L"), progressive=True),
    "progressive with restarts": encoded(scene(), progressive=True, restart_marker_rows=1),
}
PLAIN = KINDS["4:2:0"]
every_kind = pytest.mark.parametrize("kind", KINDS)


def check(data: bytes, max_pixels: int = MAX_PIXELS) -> Picture:
    picture = examine(data, max_pixels)
    assert picture.data.startswith(b"\xff\xd8\xff")
    assert picture.data.endswith(EOI)
    assert picture.md5 == hashlib.md5(picture.data).hexdigest()
    return picture


def refusal(data: bytes, max_pixels: int = MAX_PIXELS) -> CameraError:
    with pytest.raises(CameraError) as caught:
        examine(data, max_pixels)
    assert caught.value.detail
    return caught.value


def outcome(data: bytes) -> str:
    try:
        check(data, 5_000_000)
    except CameraError as err:
        return err.state
    return "picture"


def cuts(data: bytes, count: int = 100) -> list[int]:
    """Places in front of the last bytes of picture data."""
    chance = random.Random(len(data))
    return [chance.randrange(1, len(data) - 4) for _ in range(count)]


def published(kind: str) -> bytes:
    """Four colours are nothing that everybody shows; all other kinds are published as they came."""
    return check(KINDS[kind]).data if kind == "CMYK" else KINDS[kind]


def find(data: bytes, marker: int) -> int:
    return data.index(bytes([0xFF, marker]))


# whole pictures


@every_kind
def test_a_whole_picture_is_published_byte_for_byte(kind: str) -> None:
    picture = check(KINDS[kind])
    assert picture.data == published(kind)
    assert (picture.width, picture.height) == Image.open(BytesIO(KINDS[kind])).size


@every_kind
def test_a_missing_end_marker_after_whole_data_is_supplied(kind: str) -> None:
    assert check(KINDS[kind][:-2]).data == published(kind)
    assert check(KINDS[kind][:-1]).data.startswith(published(kind)[:-2])


@every_kind
@pytest.mark.parametrize("trailer", [b"\r\n", b"DHAV" * 3000, bytes(5000), PLAIN, b"\xff\xfe\0\x04hi"])
def test_what_follows_the_picture_is_not_published(kind: str, trailer: bytes) -> None:
    assert check(KINDS[kind] + trailer).data == published(kind)


@every_kind
@pytest.mark.parametrize(
    "junk", [b"\r\n\r\n", b"--frame\r\nContent-Type: image/jpeg\r\n\r\n", bytes(4000), b"\xff\xd8"]
)
def test_rubbish_before_the_picture_is_skipped(kind: str, junk: bytes) -> None:
    assert check(junk + KINDS[kind]).data == published(kind)


@every_kind
@pytest.mark.parametrize("padding", [b"\0", b"\0" * 3000, b"\xff" * 3000, b"vendor data" * 100, b"\x01"])
def test_padding_before_the_end_marker_costs_no_picture(kind: str, padding: bytes) -> None:
    check(KINDS[kind][:-2] + padding + EOI)


def test_large_progressive_pictures_may_be_padded_too() -> None:
    data = encoded(scene(640, 360).resize((4096, 2304)), progressive=True, quality=50)
    check(data[:-2] + b"vendor" + EOI)
    check(data[:-2] + bytes(1000))


@every_kind
def test_zeros_instead_of_an_end_marker_cost_no_picture(kind: str) -> None:
    check(KINDS[kind][:-2] + bytes(3000))


@every_kind
def test_vendor_segments_and_junk_among_the_headers_cost_no_picture(kind: str) -> None:
    data = KINDS[kind]
    vendor = segment(0xFE, b"DHAV\xff\xd8\xff\xd9") + segment(0xEF, bytes(60_000)) + b"\0junk\0"
    table = find(data, 0xDB)
    check(data[:table] + vendor + data[table:])
    check(data[:2] + segment(0xE0, b"JFIF\0\x07\x07\0\0\x01\0\x01\0\0") + data[2:])
    check(data[:2] + segment(0xEE, b"Adobe\0\x64\0\0\0\0\x09") + data[2:])


@every_kind
def test_a_thumbnail_among_the_headers_is_not_taken_for_the_picture(kind: str) -> None:
    data = KINDS[kind][:2] + segment(0xE1, b"Exif\0\0" + encoded(scene(96, 64), quality=30)) + KINDS[kind][2:]
    assert check(data).data == published(kind)
    assert refusal(data[: len(data) // 2] + EOI).state is TRUNCATED


def test_bytes_left_over_before_restart_markers_cost_no_picture() -> None:
    """Many webcams: "1 extraneous bytes before marker 0xd4"."""
    for kind in ("restart each row", "restart within rows", "restart each unit"):
        check(re.sub(rb"(\xff[\xd0-\xd7])", rb"ZZZ\1", KINDS[kind]))


def test_bytes_left_over_between_progressive_scans_cost_no_picture() -> None:
    for kind in ("progressive", "progressive grey"):
        head, *scans = re.split(rb"(?=\xff\xda)", KINDS[kind])
        check(head + b"".join(re.sub(rb"(\xff[\xc4\xd9])", rb"vendor\1", scan, count=1) for scan in scans))


def test_meaningless_scan_parameters_cost_no_picture() -> None:
    sos = find(PLAIN, 0xDA)
    check(PLAIN[: sos + 11] + b"\0\0\0" + PLAIN[sos + 14 :])


def test_frames_without_huffman_tables_are_pictures() -> None:
    """Motion JPEG leaves the standard tables out; libjpeg-turbo, and so browsers, know them."""
    data = PLAIN
    while (at := data.find(b"\xff\xc4")) >= 0:
        data = data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4]) :]
    check(data)


def test_a_flat_black_picture_is_a_picture() -> None:
    for options in ({}, {"optimize": True}, {"progressive": True}, {"restart_marker_rows": 1}):
        for mode in ("RGB", "L"):
            check(encoded(Image.new(mode, (1280, 720)), **options))


# pictures that are not whole


@every_kind
@pytest.mark.parametrize("ending", ["nothing", "end marker", "zeros", "zeros and end marker"])
def test_a_cut_picture_is_truncated_whatever_fills_its_place(kind: str, ending: str) -> None:
    data = KINDS[kind]
    for place in cuts(data):
        missing = bytes(len(data) - place - 2) if "zeros" in ending else b""
        forged = data[:place] + missing + (EOI if "end marker" in ending else b"")
        assert refusal(forged).state is TRUNCATED, place


@every_kind
def test_a_cut_picture_with_vendor_data_behind_it_is_truncated(kind: str) -> None:
    data = KINDS[kind]
    for place in cuts(data, 30):
        assert refusal(data[:place] + EOI + b"DHAV" * 1000).state is TRUNCATED
        assert refusal(data[:place] + data[:2] + data[2:place]).state is TRUNCATED


@every_kind
def test_a_hole_of_zeros_is_found(kind: str) -> None:
    data = KINDS[kind]
    size = len(data) // 5
    for place in (len(data) // 3, len(data) // 2):
        assert refusal(data[:place] + bytes(size) + data[place + size :]).state is TRUNCATED


def test_a_harmless_warning_does_not_hide_a_fatal_one() -> None:
    for kind in ("restart each row", "restart within rows"):
        data = KINDS[kind]
        first = re.search(rb"\xff[\xd0-\xd7]", data).start()
        for place in cuts(data):
            if place > first:
                assert refusal(data[:first] + b"zz" + data[first:place] + EOI).state is TRUNCATED
        middle = data.index(b"\xff\xd3", len(data) // 2)
        holed = data[:middle] + data[middle + 2 : middle + 4] + data[middle : middle + 2] + data[middle + 300 :]
        assert refusal(data[:first] + b"zz" + holed[first:]).state is TRUNCATED
    head, *scans = re.split(rb"(?=\xff\xda)", KINDS["progressive"])
    junk = head + re.sub(rb"(\xff\xc4)", rb"vendor\1", scans[0], count=1) + b"".join(scans[1:])
    check(junk)
    assert refusal(junk[: -len(scans[-1]) // 2] + EOI).state is TRUNCATED


def test_progressive_pictures_whose_last_scans_were_left_out_are_whole() -> None:
    scans = re.split(rb"(?=\xff\xc4(?:(?!\xff\xc4).)*?\xff\xda|\xff\xda)", KINDS["progressive"], flags=re.DOTALL)
    for count in range(3, len(scans)):
        check(b"".join(scans[:count]) + EOI)
        if re.search(rb"\xff\xda", scans[count]):
            assert refusal(b"".join(scans[:count])).state is TRUNCATED, "cut off by the link, not by the encoder"


def test_headers_alone_are_truncated() -> None:
    for data in (b"\xff\xd8", b"\xff\xd8\xff", b"\xff\xd8" + EOI, PLAIN[:300], PLAIN[: find(PLAIN, 0xDA)] + EOI):
        assert refusal(data).state is TRUNCATED


def test_broken_headers_are_damage() -> None:
    sof, sos = find(PLAIN, 0xC0), find(PLAIN, 0xDA)
    frame = PLAIN[sof : sof + 19]
    for data in (
        PLAIN[:sof] + frame + PLAIN[sof:],
        PLAIN[:sof] + PLAIN[sof + 19 :],
        PLAIN[: sof + 11] + b"\0" + PLAIN[sof + 12 :],
        PLAIN[: sos + 5] + b"\x77" + PLAIN[sos + 6 :],
        PLAIN[:sof] + b"\xff\x33\0\2" + PLAIN[sof:],
        PLAIN[:sof] + segment(0xCC, b"\x01\x77") + PLAIN[sof:],
        PLAIN[:2] + b"\xff\xfe\0\2" * 100_000 + PLAIN[2:],
        PLAIN[:2] + segment(0xDB, bytes(65)) * 1500 + PLAIN[2:],
    ):
        assert refusal(data).state is TRUNCATED


# what browsers do not show


@pytest.mark.parametrize(
    ("marker", "said"), [(0xC3, "lossless"), (0xC5, "hierarchical"), (0xC9, "arithmetic"), (0xCA, "arithmetic")]
)
def test_kinds_of_jpeg_that_browsers_do_not_show_are_named(marker: int, said: str) -> None:
    sof = find(PLAIN, 0xC0)
    err = refusal(PLAIN[: sof + 1] + bytes([marker]) + PLAIN[sof + 2 :])
    assert err.state is NOT_AN_IMAGE
    assert said in err.detail


def test_twelve_bits_and_no_pixels_are_no_image() -> None:
    sof = find(PLAIN, 0xC0)
    assert "12 bits" in refusal(PLAIN[: sof + 4] + b"\x0c" + PLAIN[sof + 5 :]).detail
    for field in (5, 7):
        err = refusal(PLAIN[: sof + field] + b"\0\0" + PLAIN[sof + field + 2 :])
        assert err.state is NOT_AN_IMAGE


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "empty body"),
        (b"\0" * 100, "100 empty bytes"),
        (b"\r\n", "2 empty bytes"),
        (b"<!DOCTYPE html><html><head><title> Login </title></head></html>", 'HTML page "Login"'),
        (b"<html><script>var a='<b>';</script><body><h1>Please   sign in</h1>", 'HTML page "Please sign in"'),
        (b"<?xml version='1.0'?><ResponseStatus><statusString>Device Busy</statusString>", 'XML "Device Busy"'),
        (b'[{"cmd":"Snap","code":1,"error":{"detail":"max session"}}]', 'JSON: [{"cmd":"Snap","code":1,'),
        (b"ERROR: bad account", "text: ERROR: bad account"),
        (b"GIF89a" + bytes(20), "GIF picture"),
        (b"BM" + bytes(60), "BMP picture"),
        (b"\0\0\0\x1cftypheic" + bytes(20), "heic file (HEIC, AVIF or video)"),
        (b"\x1f\x8b\x08" + bytes(40), "gzip-compressed data"),
        (b"\x80\x81\x82\x83" * 10, "40 bytes of an unknown kind, beginning with 80 81 82 83"),
        (b"RTSP/1.0 200 OK\r\n", "RTSP answer"),
    ],
)
def test_what_is_no_picture_is_named(body: bytes, detail: str) -> None:
    err = refusal(body)
    assert err.state is NOT_AN_IMAGE
    assert err.detail.startswith(detail)


def test_camera_text_is_escaped_short_and_without_secrets() -> None:
    said = refusal(b"\x1b[31mred\x07 http://admin:hunter2@10.0.0.1/?user=a&pwd=hunter2&x=1 password: hunter2").detail
    assert "hunter2" not in said
    assert "\x1b" not in said
    assert len(refusal(b"x" * 100_000).detail) < 100
    assert "hunter2" not in refusal(b'{"login": 1, "password": "hunter2", "token":"hunter2"}').detail
    assert "hunter2" not in refusal(b"<html><title>/snap.cgi?usr=admin&pwd=hunter2</title>").detail


# limits


def declared(width: int, height: int, data: bytes = PLAIN) -> bytes:
    at = re.search(rb"\xff[\xc0\xc2]\0\x11\x08", data).start()
    return data[: at + 5] + struct.pack(">HH", height, width) + data[at + 9 :]


def png_bomb(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(100_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def webp_bomb() -> bytes:
    size = (16_383 - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + size + size


@pytest.mark.parametrize(
    "bomb",
    [
        declared(65_500, 65_500),
        declared(65_500, 65_500, KINDS["progressive"]),
        png_bomb(60_000, 60_000),
        webp_bomb(),
        png_bomb(600_000, 1),
    ],
    ids=["JPEG", "progressive", "PNG", "WebP", "wide PNG"],
)
def test_absurd_sizes_never_get_the_memory(bomb: bytes) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert refusal(bomb).state is TOO_LARGE
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


def test_the_pixel_limit_is_exact() -> None:
    check(PLAIN, 640 * 360)
    err = refusal(PLAIN, 640 * 360 - 1)
    assert err.state is TOO_LARGE
    assert "640×360" in err.detail
    assert refusal(encoded(scene(), "PNG"), 640 * 360 - 1).state is TOO_LARGE


def test_scans_are_counted() -> None:
    data = KINDS["progressive"]
    head, first, *_ = re.split(rb"(?=\xff\xda)", data)
    scan = first[: first.index(b"\xff\xc4")]
    refining = segment(0xDA, b"\x01\x01\x00\x00\x00\x10") + b"\x00\x00"
    assert refusal(head + scan + refining * 1000 + EOI).state in (TOO_LARGE, TRUNCATED)
    same = segment(0xDA, b"\x01\x01\x00\x01\x3f\x00") + b"\x00"
    began = time.perf_counter()
    assert refusal(head + scan + same * 1000 + EOI).state is TOO_LARGE
    assert time.perf_counter() - began < 5


# other kinds of picture


WEBP_MODES = ["RGB", "RGBA", "L", "LA", "P", "1"]


@pytest.mark.parametrize(
    ("kind", "mode"), [("WEBP", mode) for mode in WEBP_MODES] + [("PNG", mode) for mode in [*WEBP_MODES, "I;16"]]
)
def test_png_and_webp_become_jpeg(kind: str, mode: str) -> None:
    image = scene().convert(mode) if mode != "I;16" else Image.new("I;16", (640, 360), 0x8000)
    picture = check(encoded(image, kind))
    assert (picture.width, picture.height) == (640, 360)
    assert not Image.open(BytesIO(picture.data)).getexif()


def test_sixteen_bit_grey_keeps_its_brightness() -> None:
    picture = check(encoded(Image.new("I;16", (64, 64), 0x8000), "PNG"))
    assert abs(Image.open(BytesIO(picture.data)).getpixel((30, 30)) - 128) < 3


def test_what_is_transparent_becomes_white() -> None:
    picture = check(encoded(Image.new("RGBA", (64, 64), (255, 0, 0, 0)), "PNG"))
    assert Image.open(BytesIO(picture.data)).getpixel((30, 30)) == (255, 255, 255)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_animations_give_their_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    picture = check(encoded(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True))
    red, _, blue = Image.open(BytesIO(picture.data)).getpixel((30, 30))
    assert red > 200 > 50 > blue


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_cut_png_and_webp_are_truncated(kind: str) -> None:
    data = encoded(scene(), kind)
    chance = random.Random(7)
    for _ in range(50):
        place = chance.randrange(16, len(data) - 80)
        assert refusal(data[:place]).state is TRUNCATED
        assert refusal(data[:place] + bytes(len(data) - place)).state is TRUNCATED


# whatever comes


@pytest.mark.parametrize("kind", [*KINDS, "PNG", "WEBP"])
def test_mutations_end_in_a_picture_or_in_one_of_three_states(kind: str) -> None:
    data = KINDS.get(kind) or encoded(scene(160, 90), kind)
    chance = random.Random(kind)
    for _ in range(80):
        bad = bytearray(data)
        for _ in range(chance.choice((1, 1, 3, 20))):
            place = chance.randrange(len(bad)) if chance.random() < 0.5 else chance.randrange(min(700, len(bad)))
            how = chance.randrange(4)
            if how == 0:
                bad[place] = chance.choice((0, 0xFF, chance.randrange(256)))
            elif how == 1:
                del bad[place : place + chance.randrange(1, 40)]
            elif how == 2:
                bad[place:place] = chance.randbytes(chance.randrange(1, 40))
            else:
                bad[place : place + 2] = bytes([0xFF, chance.randrange(0xC0, 0x100)])
        assert outcome(bytes(bad)) in ("picture", TRUNCATED, NOT_AN_IMAGE, TOO_LARGE)


# the threads


async def test_verifying_leaves_the_event_loop_free() -> None:
    processor = Processor(MAX_PIXELS)
    large = encoded(scene(3000, 2000), quality=90)
    lags: list[float] = []

    async def tick() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.005)
            lags.append(time.perf_counter() - began)

    ticking = asyncio.create_task(tick())
    pictures = await asyncio.gather(*(processor.verify(large) for _ in range(8)))
    ticking.cancel()
    assert {picture.width for picture in pictures} == {3000}
    assert len(lags) > 5
    processor.close()


async def test_a_bad_picture_is_told_to_its_own_camera_only() -> None:
    processor = Processor(MAX_PIXELS)
    bodies = [PLAIN, b"", PLAIN[:-500], b"<html>", PLAIN]
    results = []
    for task in [asyncio.create_task(processor.verify(body)) for body in bodies]:
        try:
            results.append((await task).width)
        except CameraError as err:
            results.append(err.state)
    assert results == [640, NOT_AN_IMAGE, TRUNCATED, NOT_AN_IMAGE, 640]
    await processor.alive()
    processor.close()


async def test_closing_drops_what_waits() -> None:
    processor = Processor(MAX_PIXELS, workers=1)
    large = encoded(scene(3000, 2000))
    tasks = [asyncio.create_task(processor.verify(large)) for _ in range(5)]
    await asyncio.sleep(0)
    processor.close()
    done, _ = await asyncio.wait(tasks, timeout=10)
    assert len(done) == 5
    assert sum(task.cancelled() for task in tasks) >= 3
