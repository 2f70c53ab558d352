"""The stage's door: a body → all that is published of it, or the error_state that says why not."""

from __future__ import annotations

from dataclasses import dataclass

from cctv_images.choices import AS_IT_CAME, FULL
from cctv_images.inventory.camera import Camera
from cctv_images.process.render import Rendition, render
from cctv_images.process.verify import Picture, Verifier


@dataclass(frozen=True, slots=True)
class Processed:
    """All forms of one picture, made from the same bytes."""

    picture: Picture
    """`full`, exactly as it is published."""
    others: tuple[Rendition, ...] = ()

    @property
    def renditions(self) -> tuple[Rendition, ...]:
        """All that is to be put, in this order: `full` last."""
        full = self.picture
        return (*self.others, Rendition(AS_IT_CAME, full.data, full.width, full.height, full.md5))


class Processor:
    """Works in threads of its own."""

    def __init__(self, max_pixels: int) -> None:
        self._verifier = Verifier(max_pixels)

    async def process(self, data: bytes, camera: Camera, captured_at: float) -> Processed:
        """captured_at: epoch seconds. Raises CameraError: TOO_LARGE, NOT_AN_IMAGE, TRUNCATED."""
        picture = await self._verifier.verify(data)
        specs = [spec for spec in camera.choices.renditions if spec.name != FULL]
        if not specs:
            return Processed(picture)
        pixels = picture.width * picture.height
        return Processed(picture, await self._verifier.work(lambda: render(picture.data, specs), pixels, picture))

    async def alive(self) -> None:
        """Returns once a thread for ordinary pictures has been free: what a watchdog asks."""
        await self._verifier.alive()

    def close(self) -> None:
        self._verifier.close()
