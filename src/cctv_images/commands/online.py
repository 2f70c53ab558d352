"""check --online: a canary in the store, and every camera asked once."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.progress import Progress, TaskID
from rich.table import Table
from rich.text import Text

from cctv_images.archiving import spool_folder
from cctv_images.commands import mismatch
from cctv_images.commands.asking import Answer, Asker, asker
from cctv_images.commands.common import console, progress, say
from cctv_images.commands.find import Finding
from cctv_images.errors import ErrorState, plain
from cctv_images.inventory.camera import Camera
from cctv_images.publish import Store, open_archive, open_store, parse_address
from cctv_images.publish.folder_archive import FolderArchive
from cctv_images.retain.archive import OURS
from cctv_images.retain.spool_home import is_known
from cctv_images.settings import Settings

AT_ONCE = 64
"""Cameras asked at the same time: enough for a fleet of thousands in minutes, too few to fill an uplink."""
SHOWN = 50
"""Failing cameras listed by name on a terminal; --json has all."""


@dataclass(slots=True)
class Online:
    store: list[str] = field(default_factory=list)
    """What the store lacks, as sentences."""
    archive: list[str] | None = None
    """The same for the archive; None = there is none."""
    answers: list[Answer] = field(default_factory=list)
    mismatches: list[Finding] | None = None
    """What was looked for after not_found; None = nothing was."""

    @property
    def failing(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.error]

    @property
    def good(self) -> bool:
        return not (self.store or self.archive or self.failing)

    def document(self) -> dict[str, Any]:
        found = {} if self.mismatches is None else {"model_mismatch": [mismatch.document(f) for f in self.mismatches]}
        cameras = [_camera(answer) for answer in self.answers]
        stores = {"store": {"ok": not self.store, "problems": self.store}}
        if self.archive is not None:
            stores["archive"] = {"ok": not self.archive, "problems": self.archive}
        return stores | {"cameras": cameras} | found


def _camera(answer: Answer) -> dict[str, Any]:
    error = answer.error
    return {
        "camera_id": answer.camera.camera_id,
        "recipe": answer.camera.recipe,
        "error_state": error.state.value if error else None,
        "detail": error.detail if error else "",
        "remedy": error.state.meaning.remedy if error else None,
        "width": answer.picture.width if answer.picture else 0,
        "height": answer.picture.height if answer.picture else 0,
        "seconds": round(answer.fetch_s + answer.verify_s, 3),
    }


async def try_online(settings: Settings, cameras: Sequence[Camera]) -> Online:
    """Raises ConfigError for a store that cannot be opened, CommandError where logins cannot be counted."""
    online = Online(await _try_store(settings), await _try_archive(settings) if settings.archive else None)
    bar = progress("asking")
    with bar or nullcontext():
        task = bar.add_task("cameras", total=len(cameras)) if bar else None
        async with asker(settings) as asking:
            online.answers = await _ask_all(asking, cameras, bar, task)
    return online


async def _try_store(settings: Settings) -> list[str]:
    store = await open_store(settings)
    try:
        found = await store.canary(settings.key.format(camera_id=f"cctv-images-canary-{secrets.token_hex(4)}"))
        return [lack.sentence for lack in found]
    finally:
        await store.close()


async def _try_archive(settings: Settings) -> list[str]:
    """A folder that no service has used yet is left as it is: the canary is put into one of its own in it."""
    folder = parse_address(settings.archive)
    if not isinstance(folder, Path) or is_known(spool_folder(settings), settings.archive):
        return await _put_canary(await open_archive(settings, known=True))
    try:
        with TemporaryDirectory(dir=folder if folder.is_dir() else folder.parent) as place:
            return await _put_canary(await FolderArchive.open_archive(Path(place), known=False))
    except OSError as exc:
        return [f"the archive's folder {folder} cannot be used: {exc.strerror}"]


async def _put_canary(archive: Store) -> list[str]:
    try:
        found = await archive.canary(f"{OURS}/canary-{secrets.token_hex(4)}", archive=True)
        return [lack.sentence for lack in found]
    finally:
        await archive.close()


async def _ask_all(asking: Asker, cameras: Sequence[Camera], bar: Progress | None, task: TaskID | None) -> list[Answer]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def ask(camera: Camera) -> Answer:
        async with gate:
            answer = await asking.ask(camera)
        answer.still = None  # thousands of bodies are not kept until the end
        if answer.picture is not None:
            answer.picture = replace(answer.picture, data=b"")
        if bar is not None and task is not None:
            bar.advance(task)
        return answer

    return list(await asyncio.gather(*(ask(camera) for camera in cameras)))


def show_online(online: Online) -> None:
    for name, problems in (("store", online.store), ("archive", online.archive)):
        if problems is not None:
            say(f"{name:<10} {'fails:' if problems else 'takes, gives back and deletes a canary'}")
            for problem in problems:
                say(f"           {problem}")
    if not online.answers:
        return
    out = console()
    out.print()
    out.print(_by_make(online.answers))
    for state, answers in _by_state(online.failing).items():
        meaning = state.meaning
        out.print(Text(f"\n{state}: {meaning.means}. To do: {meaning.remedy}.", "bold"))
        for answer in answers[:SHOWN]:
            out.print(Text(f"  {answer.camera.camera_id:<20} {plain(answer.error.detail) if answer.error else ''}"))
        if len(answers) > SHOWN:
            out.print(f"  … and {len(answers) - SHOWN} more; --json lists them all")
    for line in mismatch.shown(online.mismatches):
        out.print(Text(line))


def _by_make(answers: Sequence[Answer]) -> Table:
    states = list(_by_state([a for a in answers if a.error]))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("make", "cameras", "ok", *states):
        table.add_column(str(heading), justify="left" if heading == "make" else "right")
    for make in sorted({a.camera.recipe for a in answers}):
        counts = Counter(a.error.state if a.error else None for a in answers if a.camera.recipe == make)
        table.add_row(make, str(counts.total()), *(str(counts[state] or "") for state in (None, *states)))
    return table


def _by_state(failing: Sequence[Answer]) -> dict[ErrorState, list[Answer]]:
    groups: defaultdict[ErrorState, list[Answer]] = defaultdict(list)
    for answer in failing:
        if answer.error:
            groups[answer.error.state].append(answer)
    return {state: groups[state] for state in ErrorState if state in groups}
