"""What is written into a picture on request: name, time, agency."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from PIL import Image, ImageChops, ImageDraw, ImageFont

from cctv_images.inventory.camera import Camera
from cctv_images.process.font import SEMIBOLD, drawable, font, shortened

TIME = "%Y-%m-%d %H:%M:%S %Z"
LINE_SHARE = 28
"""A line's letters are this part of the picture's height,"""
SMALLEST, LARGEST = 11, 64
"""in pixels, within these."""
SHADE = (96, 96, 96)
"""What is left of white behind the letters, from which white stands out by 6 to 1."""
MAX_SHARE = 3
"""At most this part of the picture's height is written on."""


class Moment(datetime):
    """Written with its zone, also where that has no letters of its own."""

    def __format__(self, form: str) -> str:
        zone = self.tzname() or ""
        return self.strftime((form or TIME).replace("%Z", f"UTC{zone}" if zone[:1] in "+-" else zone))


def stamp_text(camera: Camera, captured_at: float) -> str:
    """What is to be written, whether or not the font has all its characters. captured_at: epoch seconds."""
    choices = camera.choices
    if not choices.stamp:
        return ""
    moment = Moment.fromtimestamp(captured_at, ZoneInfo(choices.time_zone))
    name = camera.name or camera.camera_id
    return choices.stamp.format(name=name, camera_id=camera.camera_id, time=moment)


def stamped(image: Image.Image, text: str) -> Image.Image:
    """An RGB picture with the text, as far as the font has it, along its lower edge; the one that is given changes."""
    size = min(max(round(image.height / LINE_SHARE), SMALLEST), LARGEST)
    face, pad, step = font(size, SEMIBOLD), max(2, size // 3), round(size * 1.3)
    room = max(1, (image.height // MAX_SHARE - pad) // step)
    lines = _lines(drawable(text), face, image.width - 2 * pad, room)
    band = (0, max(0, image.height - step * len(lines) - pad), image.width, image.height)
    dark = ImageChops.multiply(image.crop(band), Image.new("RGB", (image.width, band[3] - band[1]), SHADE))
    draw = ImageDraw.Draw(dark)
    for number, line in enumerate(lines):
        draw.text((pad, pad / 2 + step * (number + 0.5)), line, "white", face, anchor="lm")
    image.paste(dark, band)
    return image


def _lines(text: str, face: ImageFont.FreeTypeFont, width: float, most: int) -> list[str]:
    """Broken between words; what does not fit into so many lines ends in an ellipsis."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if not lines[-1] or face.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    kept = lines[:most]
    if len(lines) > most:
        kept[-1] += "…"
    return [shortened(line, face, width) for line in kept]
