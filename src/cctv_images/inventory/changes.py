"""What a reload does to the running cameras: a pure function of what runs and what the inventory now says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from cctv_images.inventory.camera import Camera
from cctv_images.inventory.parse import Inventory

REMOVALS_ALWAYS_ALLOWED = 10
REMOVALS_ALLOWED_SHARE = 5
"""One in so many."""


class ReloadRefused(Exception):
    """The inventory is suspiciously short. str() is the reason, a sentence."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Every id that ran or is to run is in exactly one of these."""

    started: dict[str, Camera]
    restarted: dict[str, Camera]
    """Their rows changed, as they are now; or became unreadable, and they get masks that are new."""
    unchanged: dict[str, Camera]
    """Not to be touched: they miss no slot."""
    kept: dict[str, Camera]
    """Their rows became unreadable or doubled; they go on with their last good ones, untouched."""
    paused: dict[str, Camera]
    """They ran and are no longer enabled: to be stopped. As the inventory shows them now."""
    removed: dict[str, Camera]
    """They ran and the inventory does not have them any more: to be stopped. As they ran."""

    @property
    def cameras(self) -> dict[str, Camera]:
        """All that is to run from now on."""
        return self.started | self.restarted | self.unchanged | self.kept

    @property
    def is_empty(self) -> bool:
        """Nothing starts, restarts or stops."""
        return not (self.started or self.restarted or self.paused or self.removed)


def changes(running: Mapping[str, Camera], new: Inventory, *, force: bool = False) -> Changes:
    """Compares what runs (disabled ones included) with a new inventory.

    Raises ReloadRefused, unless forced, where more than a fifth of the cameras and more than ten would stop. Pausing
    counts like removing: a status column that was emptied or renamed takes the public's pictures away just the same.
    """
    unreadable = {row.camera_id for row in new.rejected}
    gone = {camera_id: camera for camera_id, camera in running.items() if camera_id not in new.cameras}
    kept = {camera_id: camera for camera_id, camera in gone.items() if camera_id in unreadable}
    stopping = {camera_id: camera for camera_id, camera in gone.items() if camera_id not in kept}
    paused = {camera_id: new.paused[camera_id] for camera_id in stopping if camera_id in new.paused}
    removed = {camera_id: camera for camera_id, camera in stopping.items() if camera_id not in paused}
    if not force and len(stopping) > REMOVALS_ALWAYS_ALLOWED and len(stopping) * REMOVALS_ALLOWED_SHARE > len(running):
        raise ReloadRefused(
            f"it would stop {len(stopping)} of {len(running)} cameras ({len(removed)} removed, {len(paused)} paused); "
            "if that is meant, reload with --force"
        )
    masked = {i: _masked(camera, new) for i, camera in kept.items()}
    restarted = {i: camera for i, camera in (new.cameras | masked).items() if i in running and camera != running[i]}
    return Changes(
        started={i: camera for i, camera in new.cameras.items() if i not in running},
        restarted=restarted,
        unchanged={i: camera for i, camera in new.cameras.items() if running.get(i) == camera},
        kept={i: camera for i, camera in kept.items() if i not in restarted},
        paused=paused,
        removed=removed,
    )


def _masked(camera: Camera, new: Inventory) -> Camera:
    """With the masks that are new for it: what nobody may see does not wait for a row to be mended."""
    choices = camera.choices
    more = tuple(mask for mask in new.masks.get(camera.camera_id, ()) if mask not in choices.masks)
    return replace(camera, choices=replace(choices, masks=choices.masks + more)) if more else camera
