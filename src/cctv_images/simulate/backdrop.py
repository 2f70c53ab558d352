"""The part of a scene that stands still: sky, skyline, hills, verge, road and trees. Drawn once per street."""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from cctv_images.simulate.perspective import HEIGHT, LANE_M, WIDTH, Road

Colour = tuple[int, int, int]
_OVER = 2
"""Drawn at twice the size and reduced: smooth edges."""
_SOFT = 4
"""Soft things are drawn at a fraction of the size."""
_LAMPS_M = tuple(30.0 + 38 * i for i in range(6))


@dataclass(frozen=True, slots=True)
class Look:
    """The colours of an hour and its weather."""

    zenith: Colour
    horizon: Colour
    hills: Colour
    building: Colour
    grass: Colour
    asphalt: Colour
    leaves: Colour
    light: float
    """How bright things without a lamp of their own are, 0 to 1."""
    lit: float
    """Share of windows with light in them."""
    cloud: int
    """Opacity of clouds, 0 to 255."""
    sun: Colour | None = None


LOOKS = (
    Look((74, 132, 200), (196, 219, 236), (122, 148, 160), (150, 158, 168), (112, 142, 84), (92, 94, 98),
         (66, 108, 58), 1.0, 0.0, 190, (255, 250, 226)),
    Look((104, 150, 196), (226, 226, 214), (134, 150, 142), (168, 160, 150), (134, 146, 88), (104, 102, 100),
         (84, 116, 62), 1.0, 0.0, 120),
    Look((128, 140, 152), (196, 202, 206), (128, 140, 146), (138, 146, 152), (96, 118, 84), (78, 82, 86),
         (62, 88, 62), 0.8, 0.08, 230),
    Look((70, 92, 150), (250, 190, 134), (112, 98, 116), (122, 108, 112), (104, 112, 72), (84, 78, 80),
         (70, 84, 54), 0.8, 0.18, 110, (255, 226, 168)),
    Look((44, 52, 104), (238, 140, 112), (74, 62, 92), (72, 66, 92), (58, 66, 58), (58, 56, 66),
         (40, 50, 48), 0.55, 0.4, 90, (255, 176, 122)),
    Look((10, 16, 38), (44, 54, 88), (22, 28, 46), (32, 38, 58), (26, 38, 34), (40, 42, 50),
         (20, 32, 30), 0.32, 0.5, 30, (232, 236, 244)),
)  # fmt: skip


def mixed(one: Colour, other: Colour, share: float) -> Colour:
    """`share` of the other colour in the one."""
    (r, g, b), (s, t, u) = one, other
    return round(r + (s - r) * share), round(g + (t - g) * share), round(b + (u - b) * share)


def draw_backdrop(road: Road, look: Look, rng: random.Random) -> Image.Image:
    pen = _Pen(_sky(road, look, rng))
    _hills(pen, road, look, rng)
    _skyline(pen, road, look, rng)
    _ground(pen, road, look)
    _markings(pen, road, look)
    _roadside(pen, road, look, rng)
    picture = pen.image.reduce(_OVER)
    return _lamplight(picture, road) if look.light < 0.6 else picture


class _Pen:
    """Draws in picture pixels on the enlarged canvas."""

    def __init__(self, image: Image.Image) -> None:
        self.image = image
        self._draw = ImageDraw.Draw(image)

    def shape(self, points: list[tuple[float, float]], colour: Colour) -> None:
        self._draw.polygon([(x * _OVER, y * _OVER) for x, y in points], fill=colour)

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        if right > left and bottom > top:
            self._draw.rectangle((left * _OVER, top * _OVER, right * _OVER, bottom * _OVER), fill=colour)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        box = ((x - radius) * _OVER, (y - radius) * _OVER, (x + radius) * _OVER, (y + radius) * _OVER)
        self._draw.ellipse(box, fill=colour)


def _sky(road: Road, look: Look, rng: random.Random) -> Image.Image:
    """Sky, sun and clouds: soft things, drawn small and enlarged."""
    size, height = (WIDTH // _SOFT, HEIGHT // _SOFT), round(road.horizon_y / _SOFT) + 8
    canvas = Image.new("RGB", (WIDTH * _OVER, HEIGHT * _OVER), look.grass)
    sky = Image.new("RGB", size, look.horizon)
    fade = ImageChops.invert(Image.linear_gradient("L").resize((size[0], height)))
    sky.paste(look.zenith, (0, 0, size[0], height), fade)
    if look.sun is not None:
        x, y = rng.uniform(0.1, 0.9) * WIDTH, road.horizon_y * rng.uniform(0.18, 0.5)
        for radius, opacity in ((130, 70), (64, 110), (24, 255)):
            sky.paste(look.sun, (0, 0), _soft_discs([(x, y, radius, radius)], opacity, radius / 14))
    puffs = []
    for _ in range(rng.randint(5, 9)):
        x, y = rng.uniform(0, WIDTH), rng.uniform(0.02, 0.8) * road.horizon_y
        for _ in range(rng.randint(5, 10)):
            dx, dy = rng.uniform(-130, 130), rng.uniform(-16, 16)
            puffs.append((x + dx, y + dy, rng.uniform(32, 120), rng.uniform(8, 24)))
    white = mixed(look.horizon, (255, 255, 255), 0.55 * look.light)
    sky.paste(white, (0, 0), _soft_discs(puffs, look.cloud, 3.5))
    enlarged = (WIDTH * _OVER, height * _SOFT * _OVER)
    canvas.paste(sky.crop((0, 0, size[0], height)).resize(enlarged, Image.Resampling.BILINEAR))
    return canvas


def _soft_discs(discs: list[tuple[float, float, float, float]], opacity: int, blur: float) -> Image.Image:
    """A small mask of blurred discs: x, y and both radii in picture pixels."""
    mask = Image.new("L", (WIDTH // _SOFT, HEIGHT // _SOFT))
    pen = ImageDraw.Draw(mask)
    for x, y, w, h in discs:
        pen.ellipse(((x - w) / _SOFT, (y - h) / _SOFT, (x + w) / _SOFT, (y + h) / _SOFT), fill=opacity)
    return mask.filter(ImageFilter.GaussianBlur(blur))


def _hills(pen: _Pen, road: Road, look: Look, rng: random.Random) -> None:
    for far in (0.55, 0.25):
        waves = [(rng.uniform(5, 26), rng.uniform(0.002, 0.009), rng.uniform(0, 6.3)) for _ in range(3)]
        ridge = [
            (x, road.horizon_y - 14 - 26 * far - sum(h * math.sin(x * f + p) for h, f, p in waves) * far)
            for x in range(0, WIDTH + 17, 16)
        ]
        pen.shape(
            [(0, road.horizon_y + 20), *ridge, (WIDTH, road.horizon_y + 20)], mixed(look.hills, look.horizon, far)
        )


def _skyline(pen: _Pen, road: Road, look: Look, rng: random.Random) -> None:
    centre, tallest = rng.uniform(0.1, 0.9) * WIDTH, rng.uniform(60, 190)
    for row, haze in ((0, 0.5), (1, 0.2)):
        x = -20.0
        while x < WIDTH:
            width = rng.uniform(26, 84)
            near = math.exp(-(((x - centre) / 300) ** 2))
            height = rng.uniform(12, 34) + tallest * near * rng.uniform(0.3, 1.0) * (1.0 if row == 0 else 0.55)
            shade = mixed(look.building, (0, 0, 0), rng.uniform(0, 0.3))
            _building(pen, x, road.horizon_y + 6, width, height, mixed(shade, look.horizon, haze), look, rng)
            x += width + rng.choice((0, 0, 4, 26))


def _building(
    pen: _Pen, x: float, foot: float, width: float, height: float, wall: Colour, look: Look, rng: random.Random
) -> None:
    pen.box(x, foot - height, x + width, foot, wall)
    pen.box(x + width * 0.82, foot - height, x + width, foot, mixed(wall, (0, 0, 0), 0.14))
    if height > 110 and rng.random() < 0.5:
        pen.box(x + width / 2 - 1, foot - height - 22, x + width / 2 + 1, foot - height, wall)
    across, down = rng.choice((6, 7, 9)), rng.choice((8, 9, 11))
    for column in range(int((width - 6) // across)):
        for floor in range(int((height - 8) // down)):
            bright = rng.random() < look.lit
            pane = (255, 214, 140) if bright else mixed(wall, (20, 30, 50), 0.22)
            left, top = x + 4 + column * across, foot - height + 5 + floor * down
            pen.box(left, top, left + across * 0.5, top + down * 0.5, mixed(pane, wall, 0.25))


def _ground(pen: _Pen, road: Road, look: Look) -> None:
    edges = [road.horizon_y + (HEIGHT - road.horizon_y) * (i / 40) ** 1.6 for i in range(41)]
    for i, (top, bottom) in enumerate(itertools.pairwise(edges)):
        pen.box(0, top, WIDTH, bottom, mixed(look.grass, look.horizon, 0.45 * (1 - i / 40) ** 3))
    path = mixed(look.asphalt, (214, 208, 196), 0.55 * look.light)
    for side in (road.left_m - 3.6, road.right_m + 1.8):
        pen.shape(road.strip(side, side + 1.8), path)
    kerb = mixed(path, (255, 255, 255), 0.25 * look.light)
    pen.shape(road.strip(road.left_m - 0.35, road.right_m + 0.35), kerb)
    tracks = [(lane + 0.5) * LANE_M + wheel for lane in range(-road.lanes_in, road.lanes_out) for wheel in (-0.8, 0.8)]
    depths = [8.0 * 1.18**i for i in range(27)]
    for near, far in itertools.pairwise(depths):
        haze = min(0.6, far / 600) * look.light
        surface = mixed(look.asphalt, look.horizon, haze)
        pen.shape(road.strip(road.left_m, road.right_m, near, far), surface)
        for x in tracks if near < 150 else ():
            pen.shape(road.strip(x - 0.25, x + 0.25, near, far), mixed(surface, (0, 0, 0), 0.08 * (1 - haze)))


def _markings(pen: _Pen, road: Road, look: Look) -> None:
    white = mixed(look.asphalt, (244, 244, 238), 0.35 + 0.5 * look.light)
    yellow = mixed(look.asphalt, (236, 186, 60), 0.35 + 0.5 * look.light)
    for x in (-0.22, 0.1):
        pen.shape(road.strip(x, x + 0.14, 8.0, 260.0), yellow)
    for x in (road.left_m + 0.6, road.right_m - 0.75):
        pen.shape(road.strip(x, x + 0.15, 8.0, 260.0), white)
    for lane in (*range(-road.lanes_in + 1, 0), *range(1, road.lanes_out)):
        for i in range(20):
            start = 10.0 + i * 12.0
            pen.shape(road.strip(lane * LANE_M - 0.08, lane * LANE_M + 0.08, start, start + 3.5), white)


def _roadside(pen: _Pen, road: Road, look: Look, rng: random.Random) -> None:
    """Trees and lamps, from far to near."""
    things = [(rng.uniform(35, 240), rng.choice((-1, 1)), "tree") for _ in range(rng.randint(14, 34))]
    things += [(z, -1 if i % 2 else 1, "lamp") for i, z in enumerate(_LAMPS_M)]
    for z, side, kind in sorted(things, reverse=True):
        edge = road.right_m if side > 0 else road.left_m
        if kind == "lamp":
            _lamp(pen, road, look, edge + side * 1.1, z, side)
        else:
            _tree(pen, road, look, edge + side * rng.uniform(5, 22), z, rng)


def _tree(pen: _Pen, road: Road, look: Look, x: float, z: float, rng: random.Random) -> None:
    height, haze = rng.uniform(4.5, 9.0), min(0.45, z / 500)
    foot, scale = road.point(x, z), road.scale(z)
    crown = height * scale
    trunk = mixed(mixed((92, 74, 58), (0, 0, 0), 1 - look.light), look.horizon, haze)
    pen.box(foot[0] - 0.16 * scale, foot[1] - crown * 0.5, foot[0] + 0.16 * scale, foot[1], trunk)
    for i in range(26):
        shade = mixed(look.leaves, (255, 250, 190) if i > 15 else (0, 0, 0), rng.uniform(0, 0.22) * look.light)
        dx, dy = rng.gauss(0, 0.17) * crown, rng.uniform(0.36, 0.92) * crown + (i - 13) * 0.006 * crown
        size = crown * rng.uniform(0.08, 0.17)
        pen.disc(foot[0] + dx, foot[1] - dy, size, mixed(shade, look.horizon, haze))


def _lamp(pen: _Pen, road: Road, look: Look, x: float, z: float, side: int) -> None:
    foot, scale = road.point(x, z), road.scale(z)
    steel = mixed(mixed((120, 124, 128), (0, 0, 0), 0.8 - 0.8 * look.light), look.horizon, min(0.4, z / 500))
    top, thick = foot[1] - 8.2 * scale, max(0.6, 0.09 * scale)
    pen.box(foot[0] - thick, top, foot[0] + thick, foot[1], steel)
    arm = foot[0] - side * 2.2 * scale
    pen.box(min(arm, foot[0]), top, max(arm, foot[0]), top + thick * 1.4, steel)
    head = (255, 236, 190) if look.light < 0.6 else mixed(steel, (255, 255, 255), 0.3)
    pen.box(arm - 0.4 * scale, top, arm + 0.4 * scale, top + 0.24 * scale, head)


def _lamplight(picture: Image.Image, road: Road) -> Image.Image:
    """Pools of warm light under the lamps."""
    pools = []
    for i, z in enumerate(_LAMPS_M):
        edge = road.left_m + 1.5 if i % 2 else road.right_m - 1.5
        (x, y), scale = road.point(edge, z), road.scale(z)
        pools.append((x, y, scale * 4.4, scale * 1.6))
    light = Image.new("RGB", (WIDTH // _SOFT, HEIGHT // _SOFT))
    light.paste((255, 204, 132), (0, 0), _soft_discs(pools, 80, 7))
    return ImageChops.screen(picture, light.resize(picture.size, Image.Resampling.BILINEAR))
