"""Which of the source's columns means what.

Understood without configuration: our own names; the City of Austin's published headings (open data b4k4-adkb, the CSV
export and the API); and the keys of its Knack application, as they stand in public code: cctv/process_images.py of
cityofaustin/atd-cctv-images (field_947 id, field_638 address, field_639 model, field_1866 publication disabled),
config.py of cityofaustin/atd-signal-comms (field_211 location name) and the technician app's configuration in
cityofaustin/atd-knack-* (field_182, an address field with latitude and longitude).
`Screenshot Address` is where Austin's pictures are published: it is never where a camera is asked.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from cctv_images.errors import ConfigError, plain

SYNONYMS: dict[str, tuple[str, ...]] = {
    "camera_id": ("camera_id", "atd_camera_id", "field_947"),
    "address": ("address", "camera_ip", "field_638"),
    "model": ("model", "camera_manufacturer", "camera_mfg", "field_639"),
    "name": ("name", "location_name", "field_211"),
    "latitude": ("latitude", "location_latitude"),
    "longitude": ("longitude", "location_longitude"),
    "position": ("location", "field_182", "geometry"),
    "enabled": ("enabled",),
    "status": ("camera_status",),
    "unpublished": ("disable_image_publish", "field_1866"),
    "credentials": ("credentials",),
    "channel": ("channel",),
    "interval": ("interval",),
    "path": ("path",),
    "tls": ("tls",),
    "renditions": ("renditions",),
    "masks": ("masks", "privacy_masks", "privacy_mask"),
    "stamp": ("stamp",),
    "time_zone": ("time_zone", "timezone"),
}
"""Canonical column → the headings that mean it, the first present wins; compared by `normal`."""

_NEVER_AN_ADDRESS = "screenshot_address"
_SHOWN_HEADINGS = 30


def normal(heading: str) -> str:
    """`Camera ID`, `CAMERA_ID` and `camera id` are one heading."""
    return re.sub(r"[^a-z0-9]+", "_", heading.lower()).strip("_")


def resolve(headings: Sequence[str], overrides: Mapping[str, str], source_name: str) -> dict[str, str]:
    """Canonical column → the heading that holds it; overrides (CCTV_INVENTORY_COLUMNS) come first.

    Raises ConfigError: camera_id is missing, one of ours is there twice, or an override's heading is not there.
    """
    problems = [*_doubled(headings, overrides, source_name), *_bad_overrides(headings, overrides, source_name)]
    if problems:
        raise ConfigError(problems)
    by_normal = {normal(heading): heading for heading in reversed(headings)}
    columns = {
        column: by_normal[synonym]
        for column, synonyms in SYNONYMS.items()
        if (synonym := next((s for s in synonyms if s in by_normal), None))
    }
    columns |= {column: _find(wanted, headings) or wanted for column, wanted in overrides.items()}
    if "camera_id" not in columns:
        hint = " Its columns seem to be separated by something other than commas." if _odd_separator(headings) else ""
        raise ConfigError(f"{source_name} has no camera_id column; headings found: {shown(headings)}.{hint}")
    return columns


def shown(headings: Iterable[str]) -> str:
    """Headings as a list for people. A file without a header has addresses there: such cells are not repeated."""
    known = [h for h in headings if h.strip()]
    words = [plain(h.strip(), 40) if re.fullmatch(r"[^@/\\=:]{1,200}", h.strip()) else "…" for h in known]
    rest = f" and {len(words) - _SHOWN_HEADINGS} more" if len(words) > _SHOWN_HEADINGS else ""
    return (", ".join(words[:_SHOWN_HEADINGS]) or "none") + rest


def _find(wanted: str, headings: Sequence[str]) -> str | None:
    if wanted in headings:
        return wanted
    return next((h for h in headings if normal(h) == normal(wanted)), None)


def _doubled(headings: Sequence[str], overrides: Mapping[str, str], source_name: str) -> list[str]:
    ours = {s for synonyms in SYNONYMS.values() for s in synonyms} | {normal(h) for h in overrides.values()}
    times = Counter(map(normal, headings))
    return [f"{source_name} has the heading {name} {times[name]} times." for name in sorted(ours) if times[name] > 1]


def _bad_overrides(headings: Sequence[str], overrides: Mapping[str, str], source_name: str) -> list[str]:
    problems = []
    for column, wanted in overrides.items():
        if column == "address" and normal(wanted) == _NEVER_AN_ADDRESS:
            problems.append("CCTV_INVENTORY_COLUMNS: Screenshot Address is where pictures are published, no address.")
        elif _find(wanted, headings) is None:
            problems.append(
                f"CCTV_INVENTORY_COLUMNS wants {column} from {plain(wanted, 40)}, which {source_name} does not have; "
                f"headings found: {shown(headings)}."
            )
    return problems


def _odd_separator(headings: Sequence[str]) -> bool:
    return any(normal(part) == "camera_id" for h in headings for part in re.split(r"[;\t|]", h))
