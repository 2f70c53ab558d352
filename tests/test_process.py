"""What is published of a picture's bytes: metadata, colours, masks, stamps, renditions, and the threads they take."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from pictures import encoded, opened, scene, segment
from PIL import Image, ImageChops, ImageCms, ImageDraw, ImageOps, ImageStat
from program import BARE

from cctv_images.choices import Choices, renditions, stamp
from cctv_images.errors import CameraError, ErrorState
from cctv_images.inventory.camera import Camera
from cctv_images.masks import Mask, masks
from cctv_images.process.mask import masked
from cctv_images.process.processor import Processor
from cctv_images.process.render import Order, Processed
from cctv_images.process.stamp import stamp_text, stamped
from cctv_images.process.verify import Costly, examine, glance

MAX_PIXELS = 50_000_000
NOON = datetime(2026, 7, 1, 17, 30, 5, tzinfo=UTC).timestamp()
PLAIN = encoded(scene())
SECRETS = (b"GPS", b"SN-4711", b"John's camera", b"http://ns.adobe.com", b"DHAV", b"junk")


def process(data: bytes, **chosen: object) -> Processed:
    camera = Camera("134", "axis", name="6th St / Red River St", choices=Choices(**chosen))
    seen = glance(data, MAX_PIXELS, Order.of(camera, NOON))
    return seen.finish() if isinstance(seen, Costly) else seen


def exif(orientation: int | None = None) -> bytes:
    """With a position, a serial number, a maker's note, and a thumbnail's worth of bytes."""
    tags = Image.Exif()
    if orientation:
        tags[0x0112] = orientation
    tags[0x010E] = "John's camera"
    tags.get_ifd(0x8769)[0xA431] = "SN-4711"
    tags.get_ifd(0x8825)[0x0002] = (30.0, 15.0, 0.0)
    tags.get_ifd(0x8825)[0x001D] = "GPS day"
    return tags.tobytes()


def tattling(data: bytes, orientation: int | None = None) -> bytes:
    """The same picture with all that cameras add."""
    segments = [
        segment(0xE1, exif(orientation)),
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>SN-4711</x:xmpmeta>"),
        segment(0xE0, b"JFXX\0\x10" + encoded(scene(80, 60), quality=20)),
        segment(0xED, b"Photoshop 3.0\0GPS"),
        segment(0xEF, b"DHAV" + bytes(500)),
        segment(0xFE, b"serial=SN-4711"),
        b"junk\0",
    ]
    table = data.index(b"\xff\xdb")
    return data[:table] + b"".join(segments) + data[table:] + b"DHAV" * 20


def pixels(data: bytes) -> bytes:
    return opened(data).tobytes()


def alike(one: Image.Image, other: Image.Image) -> float:
    """Mean difference in levels."""
    return max(ImageStat.Stat(ImageChops.difference(one.convert("RGB"), other.convert("RGB"))).mean)


# --- metadata ---


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 95, "subsampling": 0}, {"optimize": True}])
def test_what_tells_of_camera_place_and_owner_goes_and_no_pixel_changes(options: dict[str, object]) -> None:
    plain = encoded(scene(), **options)
    done = process(tattling(plain)).picture
    assert done.data == plain
    assert done.md5 == hashlib.md5(plain).hexdigest()
    assert not any(secret in done.data for secret in SECRETS)


def test_segments_between_the_scans_go_too() -> None:
    plain = encoded(scene(), progressive=True)
    head, *scans = plain.split(b"\xff\xda")
    told = b"\xff\xda".join([head, *scans[:2]]) + segment(0xFE, b"SN-4711") + segment(0xE1, exif())
    told += b"\xff\xda" + b"\xff\xda".join(scans[2:])
    assert process(told).picture.data == plain


def test_what_a_decoder_needs_to_know_the_colours_stays() -> None:
    plain = encoded(scene(), keep_rgb=True)
    assert b"Adobe" in plain
    assert process(tattling(plain)).picture.data == plain
    long_app14 = plain.replace(segment(0xEE, plain[plain.index(b"Adobe") :][:12]), b"")
    adobe = plain[plain.index(b"Adobe") :][:12]
    told = long_app14[:2] + segment(0xEE, adobe + b"SN-4711") + long_app14[2:]
    done = process(told).picture.data
    assert b"SN-4711" not in done
    assert pixels(done) == pixels(plain)


def test_a_thumbnail_in_the_jfif_header_goes_and_the_header_stays() -> None:
    body = b"JFIF\0\x01\x02\x01\0\x48\0\x48" + bytes([10, 10]) + b"DHAV" * 75
    at = PLAIN.index(b"\xff\xe0")
    told = PLAIN[:at] + segment(0xE0, body) + PLAIN[at + 18 :]
    done = process(told).picture.data
    assert done == PLAIN[:at] + segment(0xE0, body[:12] + b"\0\0") + PLAIN[at + 18 :]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_that_is_not_upright_is_still_shown_upright(orientation: int) -> None:
    """By one tag that says so where nothing is encoded again, by its pixels everywhere else."""
    told = tattling(PLAIN, orientation)
    upright = ImageOps.exif_transpose(opened(told))
    done = process(told, renditions=renditions("full, thumb:160x160"))
    assert pixels(done.picture.data) == pixels(PLAIN)
    assert not any(secret in done.picture.data for secret in SECRETS)
    assert (done.picture.width, done.picture.height) == upright.size
    assert dict(opened(done.picture.data).getexif()) == ({0x0112: orientation} if orientation > 1 else {})
    [thumb] = done.others
    assert opened(thumb.body).size == (thumb.width, thumb.height) == upright.reduce(4).size
    assert not opened(thumb.body).getexif()
    assert alike(opened(thumb.body), upright.resize(thumb_size := (thumb.width, thumb.height))) < 8, thumb_size
    again = process(told, renditions=renditions("full@q95")).picture
    assert not opened(again.data).getexif()
    assert alike(opened(again.data), upright) < 6


@pytest.mark.parametrize("size", [(1, 1), (7, 7), (1, 400), (400, 1)])
def test_a_dark_picture_of_a_few_pixels_is_a_picture(size: tuple[int, int]) -> None:
    assert (process(encoded(Image.new("RGB", size))).picture.width, size[1]) == size


def test_hostile_metadata_costs_no_picture() -> None:
    for body in (
        b"Exif\0\0",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01\x12\0\x03\0\0\0\x01\xff\xff\0\0" * 5,
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12",
    ):
        assert process(PLAIN[:2] + segment(0xE1, body) + PLAIN[2:]).picture.data == PLAIN
    many = b"".join(segment(0xE1, exif(1 + n % 8)) for n in range(300))
    assert b"SN-4711" not in process(PLAIN[:2] + many + PLAIN[2:]).picture.data


# --- colours ---


def red_for_green() -> bytes:
    """A profile in which red and green have changed places."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"swap", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"swap", b"gXYZ", 1)


def test_a_profile_that_says_srgb_goes_without_a_second_encoding() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    told = encoded(scene(), icc_profile=profile)
    assert b"ICC_PROFILE" in told
    assert process(told).picture.data == PLAIN


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_colours_of_another_profile_become_plain_srgb(kind: str) -> None:
    told = encoded(Image.new("RGB", (320, 180), (200, 40, 40)), kind, icc_profile=red_for_green())
    done = process(told, renditions=renditions("full, thumb:64x64"))
    for body in (done.picture.data, done.others[0].body):
        shown = opened(body)
        red, green, blue = shown.getpixel((20, 20))
        assert green > 150 > 100 > red + blue - 30
        assert not shown.info.get("icc_profile")


def test_a_profile_that_is_none_or_of_another_kind_counts_for_nothing() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert process(encoded(scene(), icc_profile=b"no profile" * 30)).picture.data == PLAIN
    grey = encoded(scene(mode="L"))
    assert process(encoded(scene(mode="L"), icc_profile=srgb)).picture.data == grey


def test_four_colours_become_three() -> None:
    told = encoded(Image.new("CMYK", (320, 180), (0, 200, 200, 20)))
    done = process(told, renditions=renditions("full, thumb:64x64"))
    for body in (done.picture.data, done.others[0].body):
        assert opened(body).mode == "RGB"
        red, green, blue = opened(body).getpixel((10, 10))
        assert red > 180 > 90 > max(green, blue)


def test_a_png_turned_into_a_jpeg_brings_no_text_along() -> None:
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add_text("comment", "SN-4711")
    text.add_text("Comment", "SN-4711")
    told = encoded(scene(), "PNG", pnginfo=text, exif=exif(6))
    done = process(told)
    assert not any(secret in done.picture.data for secret in SECRETS)
    assert (done.picture.width, done.picture.height) == (360, 640)


# --- renditions ---


@pytest.mark.parametrize("size", [(1280, 720), (1283, 721), (704, 480), (352, 288), (2000, 30), (17, 9)])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_thumbnail_made_by_scaled_decoding_looks_like_one_made_the_plain_way(
    size: tuple[int, int], mode: str
) -> None:
    picture = scene(*size, mode)
    done = process(encoded(picture, quality=90), renditions=renditions("full, thumb:320x180, tiny:64x64@q90@webp"))
    for rendition in done.others:
        shown = opened(rendition.body)
        assert shown.size == (rendition.width, rendition.height)
        assert shown.width <= min(size[0], rendition.spec.box[0])
        assert shown.height <= min(size[1], rendition.spec.box[1])
        plain = opened(encoded(picture.resize(shown.size, Image.Resampling.LANCZOS), quality=90))
        assert alike(shown.convert("L"), plain.convert("L")) < 8
    assert [rendition.spec.content_type for rendition in done.others] == ["image/jpeg", "image/webp"]


def test_formats_are_what_was_asked_for() -> None:
    done = process(PLAIN, renditions=renditions("full, p:320x180@progressive, w:320x180@webp, low:320x180@q20"))
    progressive, webp, low = (rendition.body for rendition in done.others)
    assert opened(progressive).info["progressive"]
    assert opened(webp).format == "WEBP"
    assert len(low) < len(progressive) / 2
    assert done.picture.data == PLAIN


def test_full_itself_can_be_made_smaller_and_progressive() -> None:
    done = process(PLAIN, renditions=renditions("full:320x320@progressive@q60")).picture
    shown = opened(done.data)
    assert shown.size == (done.width, done.height) == (320, 180)
    assert shown.info["progressive"]
    assert done.md5 == hashlib.md5(done.data).hexdigest()


@pytest.mark.parametrize("name", ["restarts", "leftover"])
def test_pictures_that_take_a_second_look_have_their_renditions_too(name: str) -> None:
    data = encoded(scene(), restart_marker_rows=1)
    if name == "leftover":
        data = data.replace(b"\xff\xd0", b"ZZZ\xff\xd0")
    done = process(data, renditions=renditions("full, thumb:160x90"))
    assert alike(opened(done.others[0].body), scene().resize((160, 90))) < 8


def test_a_picture_cut_short_has_no_renditions() -> None:
    for chosen in ({"renditions": renditions("full, thumb:160x90")}, {"masks": masks([[[0, 0], [1, 0], [1, 1]]])}):
        with pytest.raises(CameraError) as caught:
            process(PLAIN[: len(PLAIN) // 2] + b"\xff\xd9", **chosen)
        assert caught.value.state is ErrorState.TRUNCATED


# --- masks ---

LEFT = masks([[[0, 0], [0.25, 0], [0.25, 1], [0, 1]]])
BLOT = masks([{"polygon": [[0.5, 0.5], [1, 0.5], [1, 1], [0.5, 1]], "style": "pixelate"}])


@pytest.mark.parametrize("kind", ["plain", "grey", "progressive", "png", "CMYK", "turned", "leftover"])
@pytest.mark.parametrize("chosen", ["full", "full, thumb:160x90, tiny:50x50@webp", "full:320x180, big:9000x9000"])
def test_what_is_masked_is_in_no_rendition(kind: str, chosen: str) -> None:
    picture = scene(mode="CMYK" if kind == "CMYK" else "L" if kind == "grey" else "RGB")
    told = {
        "png": lambda: encoded(picture, "PNG"),
        "progressive": lambda: encoded(picture, progressive=True),
        "turned": lambda: tattling(encoded(picture.transpose(Image.Transpose.ROTATE_90)), 6),
        "leftover": lambda: encoded(picture, restart_marker_rows=1).replace(b"\xff\xd0", b"ZZZ\xff\xd0"),
    }.get(kind, lambda: encoded(picture))()
    done = process(told, renditions=renditions(chosen), masks=LEFT)
    for rendition in done.renditions:
        shown = opened(rendition.body).convert("RGB")
        hidden = shown.crop((0, 0, shown.width // 4 - 2, shown.height))  # codecs ring at its edge
        assert max(high for _, high in hidden.getextrema()) < 24, rendition.spec
        assert ImageStat.Stat(shown.crop((shown.width // 3, 0, shown.width, shown.height))).stddev[0] > 20


def test_pixels_that_were_averaged_cannot_be_told_apart_any_more() -> None:
    """Text of two kinds in the same place comes out the same: what is left is a few cells of few levels."""
    shown = []
    for text in ("7KDA 482", "3BXR 916"):
        picture = Image.new("RGB", (1280, 720), (130, 130, 130))
        ImageDraw.Draw(picture).text((960, 500), text, "black", font_size=36)
        shown.append(masked(picture, BLOT))
    one, other = (image.crop((640, 360, 1280, 720)) for image in shown)
    assert len(one.getcolors(10_000)) <= 4
    assert max(ImageStat.Stat(ImageChops.difference(one, other)).mean) < 1.5


def test_masks_reach_a_little_over_their_edges_and_no_further() -> None:
    for size in ((1280, 720), (161, 91), (40, 30)):
        white = masked(
            Image.new("RGB", size, "white"), masks([[[0.25, 0.25], [0.75, 0.25], [0.75, 0.75], [0.25, 0.75]]])
        )
        left, top, right, bottom = ImageChops.invert(white).getbbox()
        assert size[0] / 4 - 4 <= left < size[0] / 4 < size[0] * 3 / 4 < right <= size[0] * 3 / 4 + 4
        assert size[1] / 4 - 4 <= top < size[1] / 4 < size[1] * 3 / 4 < bottom <= size[1] * 3 / 4 + 4


def test_the_tips_of_a_mask_hide_what_they_touch() -> None:
    tips = [[0.2, 0.2], [0.7, 0.25], [0.6, 0.8], [0.25, 0.6]]
    for size in ((1280, 720), (200, 150), (17, 9)):
        white = masked(Image.new("RGB", size, "white"), masks([tips]))
        touched = {(int(x * size[0]) - dx, int(y * size[1]) - dy) for x, y in tips for dx in (0, 1) for dy in (0, 1)}
        assert {white.getpixel(pixel) for pixel in touched} == {(0, 0, 0)}, size


def test_a_mask_that_cannot_be_drawn_ends_the_picture_not_the_mask() -> None:
    broken = (Mask((("x", "y"),)),)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        process(PLAIN, masks=broken)


# --- stamps ---


def told_by(text: str, zone: str = "America/Chicago", name: str = "6th St") -> str:
    return stamp_text(Camera("134", "axis", name=name, choices=Choices(stamp=stamp(text), time_zone=zone)), NOON)


def test_a_stamp_says_name_local_time_with_its_zone_and_the_agency() -> None:
    assert told_by("{name} · {time} · City of Austin") == "6th St · 2026-07-01 12:30:05 CDT · City of Austin"
    assert told_by("{time}", "Asia/Tokyo") == "2026-07-02 02:30:05 JST"
    assert told_by("{time}", "America/Sao_Paulo") == "2026-07-01 14:30:05 UTC-03"
    assert told_by("{camera_id} {time:%m/%d/%Y %I:%M %p %Z}") == "134 07/01/2026 12:30 PM CDT"
    assert told_by("{name}", name="") == "134"
    assert told_by("off") == ""
    assert told_by("{{{camera_id}}}") == "{134}"


@pytest.mark.parametrize("ground", ["white", "black", (128, 128, 128), (255, 220, 0)])
@pytest.mark.parametrize("size", [(1280, 720), (640, 480), (320, 180), (64, 36), (8, 8)])
def test_a_stamp_stands_out_from_any_ground_and_leaves_most_of_the_picture(
    ground: object, size: tuple[int, int]
) -> None:
    before = Image.new("RGB", size, ground)
    after = stamped(before.copy(), "6th St / Red River St · 2026-07-01 12:30:05 CDT · City of Austin Transportation")
    box = ImageChops.difference(before, after).getbbox()
    if size[1] >= 180:
        assert box[1] > size[1] * 0.6
        grey = after.convert("L").crop((0, box[1], size[0], size[1]))
        darkest, brightest = grey.getextrema()
        assert brightest > 240
        assert darkest < 100


def test_every_rendition_has_its_own_stamp_and_the_picture_above_it_is_untouched() -> None:
    done = process(PLAIN, renditions=renditions("full, thumb:320x180"), stamp=stamp("{name} {time}"))
    for rendition in done.renditions:
        shown = opened(rendition.body)
        low = (0, int(shown.height * 0.93), shown.width // 2, shown.height)
        high = (0, 0, shown.width, int(shown.height * 0.8))
        whole = scene().resize(shown.size)
        assert alike(shown.crop(low), whole.crop(low)) > 25
        assert alike(shown.crop(high), whole.crop(high)) < 8


# --- threads and memory ---


async def test_a_picture_with_renditions_leaves_the_event_loop_free() -> None:
    processor = Processor(MAX_PIXELS)
    camera = Camera("1", "axis", choices=Choices(renditions("full, t:640x360, w:320x180@webp"), LEFT, "{time}"))
    body = encoded(scene(1920, 1080))
    work = [asyncio.create_task(processor.process(body, camera, NOON)) for _ in range(8)]
    turns = 0
    while not all(task.done() for task in work):
        await asyncio.sleep(0.002)
        turns += 1
    assert len({task.result().picture.md5 for task in work}) == 1
    assert turns > 20
    processor.close()


async def test_a_crowd_of_pictures_holds_back_who_would_bring_more() -> None:
    processor = Processor(MAX_PIXELS)
    camera = Camera("1", "axis", choices=Choices(renditions("full@q95")))
    body = encoded(scene(), quality=90) + bytes(900_000)
    crowd = [asyncio.create_task(processor.process(body, camera, NOON)) for _ in range(40)]
    await asyncio.sleep(0)
    late = asyncio.create_task(processor.room())
    await asyncio.sleep(0)
    assert not late.done()
    await asyncio.gather(*crowd)
    await late
    await processor.room()
    processor.close()


BOMBS = """
import asyncio, resource
from io import BytesIO
from PIL import Image
from cctv_images.choices import Choices, renditions
from cctv_images.inventory.camera import Camera
from cctv_images.masks import masks
from cctv_images.process.processor import Processor

def bomb(mode, kind):
    out = BytesIO()
    Image.new(mode, (4000, 4000)).save(out, kind)
    return out.getvalue()

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6

async def main():
    covers = masks([[[0, 0], [1, 0], [1, 1]], {"polygon": [[0, 0], [1, 1], [0, 1]], "style": "pixelate"}])
    camera = Camera("1", "axis", choices=Choices(renditions("full, t:480x270"), covers, "{name} {time}"))
    bodies = [bomb("RGB", "JPEG"), bomb("CMYK", "JPEG"), bomb("RGB", "PNG"), bomb("RGB", "JPEG")]
    processor, before = Processor(50_000_000), resident()
    await asyncio.gather(*(processor.process(body, camera, 0.0) for body in bodies))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3 - before, resident() - before)
    processor.close()

asyncio.run(main())
"""


def test_picture_bombs_take_the_memory_of_a_few_and_give_it_back() -> None:
    """16 million pixels are 64 MB, held two or three times while masks are drawn; three threads work at once."""
    unit = {"MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
    done = subprocess.run([sys.executable, "-c", BOMBS], env=BARE | unit, capture_output=True, text=True, check=True)
    peak, left = map(float, done.stdout.split())
    assert peak < 600
    assert left < 40


def test_what_is_published_by_default_is_what_the_verifier_says() -> None:
    assert process(PLAIN).picture == examine(PLAIN, MAX_PIXELS)
    assert replace(Order(), masks=LEFT).changes_full


@pytest.mark.parametrize("size", [(1, 1), (4, 4), (7, 300), (300, 7)])
def test_pictures_of_a_few_dark_pixels_are_pictures(size: tuple[int, int]) -> None:
    for kind in ("JPEG", "PNG"):
        done = process(encoded(Image.new("RGB", size), kind), renditions=renditions("full, thumb:3x3"), masks=LEFT)
        assert (done.picture.width, done.picture.height) == size
    assert process(encoded(Image.new("RGB", size))).picture.width == size[0]
