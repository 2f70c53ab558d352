"""Where things on the road stand in the picture: metres on the ground to pixels, seen from a pole."""

from __future__ import annotations

import random
from dataclasses import dataclass

WIDTH, HEIGHT = 1280, 720
LANE_M = 3.5
NEAR_M, FAR_M = 12.0, 600.0


@dataclass(frozen=True, slots=True)
class Road:
    """A road that runs away from the camera. x: metres to the right of its middle, z: metres away."""

    vanishing_x: float
    horizon_y: float
    focal: float
    camera_height_m: float
    camera_x_m: float
    """Where the pole stands, in metres right of the middle."""
    bend: float
    """Sideways metres per square metre of distance."""
    lanes_out: int
    """Lanes that lead away, on the right."""
    lanes_in: int

    @classmethod
    def of(cls, rng: random.Random) -> Road:
        return cls(
            vanishing_x=rng.uniform(0.36, 0.64) * WIDTH,
            horizon_y=rng.uniform(0.34, 0.44) * HEIGHT,
            focal=rng.uniform(900, 1150),
            camera_height_m=rng.uniform(6.5, 9.0),
            camera_x_m=rng.uniform(-3.5, 4.5),
            bend=rng.choice((-1, 1)) * rng.uniform(0.0, 0.0005),
            lanes_out=rng.choice((1, 2, 2, 2, 3)),
            lanes_in=rng.choice((1, 2, 2, 3)),
        )

    @property
    def left_m(self) -> float:
        return -LANE_M * self.lanes_in - 0.9

    @property
    def right_m(self) -> float:
        return LANE_M * self.lanes_out + 0.9

    def scale(self, z: float) -> float:
        """Pixels for one metre at that distance."""
        return self.focal / z

    def point(self, x: float, z: float, up: float = 0.0) -> tuple[float, float]:
        scale = self.scale(z)
        sideways = x - self.camera_x_m + self.bend * z * z
        return self.vanishing_x + scale * sideways, self.horizon_y + scale * (self.camera_height_m - up)

    def strip(self, left: float, right: float, near: float = NEAR_M, far: float = FAR_M) -> list[tuple[float, float]]:
        """The outline of a strip of ground along the road, following its bend."""
        steps = max(1, round((far - near) ** 0.5))
        depths = [near * (far / near) ** (i / steps) for i in range(steps + 1)]
        return [self.point(left, z) for z in depths] + [self.point(right, z) for z in reversed(depths)]
