"""An inventory's bytes → checked cameras, and what is wrong with each row that is none.

One bad row never stops the service: it is rejected by line and reason, and the rest run. Rows that are not enabled
are not checked: they are counted by state.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from cctv_images.errors import plain
from cctv_images.inventory.camera import Camera
from cctv_images.inventory.columns import resolve
from cctv_images.inventory.fields import Row, row_of, yes_or_no
from cctv_images.inventory.formats import read_table
from cctv_images.inventory.rows import Rules, check_row, masks_to_keep, paused_camera
from cctv_images.masks import Mask

RUNNING_STATUS = "TURNED_ON"
"""Austin's `Camera Status` of a camera that is to be shown; every other one means not enabled."""

_SHOWN_DOUBLES = 3


@dataclass(frozen=True, slots=True)
class RejectedRow:
    line: int
    camera_id: str | None
    """None where the row does not say which camera it means."""
    reason: str
    unit: str = "line"
    """What `line` counts: physical lines of a CSV, rows of a JSON document, or entries of CCTV_MASKS; all from 1."""

    def __str__(self) -> str:
        camera = f" (camera {self.camera_id})" if self.camera_id else ""
        return f"{self.unit} {self.line}{camera}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Inventory:
    cameras: dict[str, Camera]
    """The enabled ones, by id."""
    paused: dict[str, Camera] = field(default_factory=dict)
    """Rows that are not enabled and have an id, otherwise unchecked; never an id that an enabled row has too."""
    rejected: list[RejectedRow] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    """All rows by the source's word for their state, e.g. TURNED_ON 413, DESIRED 95."""
    masks: Mapping[str, tuple[Mask, ...]] = field(default_factory=dict)
    """Of the rows that are rejected, by id: their cameras may run on as they were, but not unmasked."""


def parse(data: bytes, *, source_name: str, rules: Rules) -> Inventory:
    """Checks a whole document. Raises ConfigError when it is malformed, empty, or has no camera_id column.

    source_name is how messages call it: a path, or an address without its secrets.
    """
    table = read_table(data, source_name)
    columns = resolve(table.headings, rules.columns, source_name)
    enabled: list[Row] = []
    faulted: list[Row] = []
    paused: dict[str, Camera] = {}
    rejected: list[RejectedRow] = []
    counts: Counter[str] = Counter()
    for raw in table.rows:
        row = row_of(raw, columns)
        if raw.fault:
            rejected.append(RejectedRow(row.number, row.camera_id, raw.fault, table.unit))
            faulted.append(row)
            continue
        try:
            runs, word = _state(row, "status" in columns)
        except ValueError as error:
            enabled.append(dataclasses.replace(row, problems=(*row.problems, str(error))))
            continue
        counts[word] += 1
        if runs:
            enabled.append(row)
        elif row.camera_id:
            paused.setdefault(row.camera_id, paused_camera(row, rules))
    cameras, faulty = _check(enabled, rules, table.unit)
    rejected = sorted(rejected + faulty, key=lambda row: row.line)
    ids = {*cameras, *paused, *(row.camera_id or "" for row in rejected)}
    rejected += _masks_of_nobody(rules, ids)
    bad = {row.camera_id for row in rejected}
    masks: defaultdict[str, tuple[Mask, ...]] = defaultdict(tuple)
    for row in (*faulted, *enabled):
        if row.camera_id in bad and row.camera_id:
            masks[row.camera_id] += masks_to_keep(row, rules)
    named = cameras.keys() | bad
    return Inventory(cameras, {i: c for i, c in paused.items() if i not in named}, rejected, counts, masks)


def _state(row: Row, has_status: bool) -> tuple[bool, str]:
    """Whether the row is enabled, and the word it is counted by. Raises ValueError when that cannot be told."""
    status = row.text("status")
    if has_status and "_".join(status.upper().split()) != RUNNING_STATUS:
        return False, plain(status, 64) or "(blank)"
    if yes_or_no(row.text("enabled"), "enabled") is False:
        return False, "not enabled"
    if yes_or_no(row.text("unpublished"), "disable_image_publish"):
        return False, "not published"
    return True, plain(status, 64) or "enabled"


def _check(rows: list[Row], rules: Rules, unit: str) -> tuple[dict[str, Camera], list[RejectedRow]]:
    """Cameras of the rows that are sound; two rows with one id are both rejected, whatever else they say."""
    rules = dataclasses.replace(
        rules, find_recipe=functools.cache(rules.find_recipe), nearest=functools.cache(rules.nearest)
    )
    numbers: defaultdict[str, list[int]] = defaultdict(list)
    for row in rows:
        if row.camera_id:
            numbers[row.camera_id].append(row.number)
    cameras: dict[str, Camera] = {}
    rejected: list[RejectedRow] = []
    for row in rows:
        checked = check_row(row, rules)
        problems = checked if isinstance(checked, list) else []
        if len(numbers[row.camera_id or ""]) > 1:
            problems = [_doubled(row, numbers[row.camera_id or ""], unit), *problems]
        if problems:
            rejected.append(RejectedRow(row.number, row.camera_id, "; ".join(problems), unit))
        elif isinstance(checked, Camera):
            cameras[checked.camera_id] = checked
    return cameras, rejected


def _masks_of_nobody(rules: Rules, ids: set[str]) -> Iterator[RejectedRow]:
    """A mistyped id leaves the camera that was meant without its masks."""
    for number, camera_id in enumerate(rules.masks, 1):
        if camera_id not in ids:
            alike = [known for known in ids if known.lower() == camera_id.strip().lower()]
            near = alike or difflib.get_close_matches(camera_id, ids, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            reason = f"there is no camera {plain(camera_id, 64)} in the inventory{hint}"
            yield RejectedRow(number, None, reason, "CCTV_MASKS entry")


def _doubled(row: Row, numbers: list[int], unit: str) -> str:
    others = [str(n) for n in numbers[: _SHOWN_DOUBLES + 1] if n != row.number][:_SHOWN_DOUBLES]
    more = len(numbers) - 1 - len(others)
    rest = f" and {more} more" if more else ""
    return f"camera_id {row.camera_id} is also on {unit} {', '.join(others)}{rest}"
