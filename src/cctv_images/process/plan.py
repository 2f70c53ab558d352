"""Where the masks of a camera lie, drawn on its picture for those who place them."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

from PIL import Image, ImageDraw

from cctv_images.masks import Mask
from cctv_images.process.font import BOLD, font
from cctv_images.process.mask import outline

LINE, GROUND = (255, 220, 0), (0, 0, 0)
QUALITY = 90


def drawn_plan(picture: bytes, masks: Sequence[Mask]) -> bytes:
    """A JPEG of a published picture with tenths along its edges, and each mask's outline and number."""
    with Image.open(BytesIO(picture)) as opened:
        image = opened.convert("RGB")
    draw, face = ImageDraw.Draw(image), font(max(11, image.height // 45), BOLD)
    thick = max(2, image.height // 240)
    for tenth in range(1, 10):
        x, y = image.width * tenth / 10, image.height * tenth / 10
        for ends in (((x, 0), (x, 3 * thick)), ((0, y), (3 * thick, y))):
            draw.line(ends, LINE, thick)
        for at, anchor in (((x, 4 * thick), "mt"), ((4 * thick, y), "lm")):
            draw.text(at, f".{tenth}", LINE, face, anchor, stroke_width=2, stroke_fill=GROUND)
    for number, mask in enumerate(masks, 1):
        corners = outline(mask, image.size)
        draw.line([*corners, corners[0]], GROUND, 3 * thick, joint="curve")
        draw.line([*corners, corners[0]], LINE, thick, joint="curve")
        middle = sum(x for x, _ in corners) / len(corners), sum(y for _, y in corners) / len(corners)
        draw.text(middle, str(number), LINE, face, "mm", stroke_width=3, stroke_fill=GROUND)
    out = BytesIO()
    image.save(out, "JPEG", quality=QUALITY)
    return out.getvalue()
