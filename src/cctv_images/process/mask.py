"""Privacy masks, drawn."""

from __future__ import annotations

from collections.abc import Iterable

from PIL import Image, ImageDraw

from cctv_images.masks import Mask

INK = (0, 0, 0)
MARGIN = 2
"""Pixels around a mask that are hidden as well: decoders have mixed colours across its edge."""
SMALLEST_CELL = 16
CELLS = 24
"""Across a picture: of a number plate or a face no more than a few cells remain."""
LEVELS = [level & 0xF0 | 0x08 for level in range(256)]
"""Few enough that a moving subject cannot be put together again from many pictures."""


def masked(image: Image.Image, masks: Iterable[Mask]) -> Image.Image:
    """An upright RGB picture without what the masks cover. The one that is given loses it, too."""
    by_style: dict[bool, list[Mask]] = {False: [], True: []}
    for mask in masks:
        by_style[mask.pixelated].append(mask)
    if by_style[False]:
        image.paste(INK, mask=_stencil(image.size, by_style[False]))
    if by_style[True]:
        image.paste(_coarse(image), mask=_stencil(image.size, by_style[True]))
    return image


def _coarse(image: Image.Image) -> Image.Image:
    cell = max(SMALLEST_CELL, image.width / CELLS)
    cells = max(1, round(image.width / cell)), max(1, round(image.height / cell))
    few = image.resize(cells, Image.Resampling.BOX).point(LEVELS * 3)
    return few.resize(image.size, Image.Resampling.NEAREST)


def _stencil(size: tuple[int, int], masks: Iterable[Mask]) -> Image.Image:
    """White where the picture is to be hidden."""
    stencil = Image.new("L", size)
    draw = ImageDraw.Draw(stencil)
    for mask in masks:
        corners = outline(mask, size)
        draw.polygon(corners, fill=255)
        draw.line([*corners, corners[0]], fill=255, width=2 * MARGIN + 1)
        for corner in corners:  # a line's joint leaves out the tip
            draw.circle(corner, MARGIN + 0.5, fill=255)
    return stencil


def outline(mask: Mask, size: tuple[int, int]) -> list[tuple[float, float]]:
    """Its corners in pixels."""
    return [(x * size[0] - 0.5, y * size[1] - 0.5) for x, y in mask.corners]
