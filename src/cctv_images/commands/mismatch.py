"""Cameras that answer as another make than the inventory says: found, shown, and written out for a bulk correction.

The inventory is never changed from here.
"""

from __future__ import annotations

import asyncio
import csv
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Any

from cctv_images.commands import CommandError
from cctv_images.commands.asking import Answer
from cctv_images.commands.common import progress
from cctv_images.commands.find import Finding, finder
from cctv_images.errors import ErrorState, plain
from cctv_images.settings import Settings

AT_ONCE = 4
"""Cameras that are looked into at the same time; each gets one request at a time."""


async def find_makes(settings: Settings, answers: Sequence[Answer]) -> list[Finding]:
    """Looks into every camera that answered not_found and whose row brings no path of its own."""
    missing = [answer.camera for answer in answers if answer.error and answer.error.state is ErrorState.NOT_FOUND]
    lost = [camera for camera in missing if camera.path is None and camera.scheme != "rtsp"]
    gate = asyncio.Semaphore(AT_ONCE)
    bar = progress("finding")
    with bar or nullcontext():
        task = bar.add_task("cameras", total=len(lost)) if bar else None
        async with finder(settings) as finding:

            async def look(index: int) -> Finding:
                async with gate:
                    found = await finding.find(lost[index], offer=True)
                if bar is not None and task is not None:
                    bar.advance(task)
                return found

            return list(await asyncio.gather(*(look(index) for index in range(len(lost)))))


def write_corrections(path: str, findings: Sequence[Finding] | None) -> None:
    """camera_id, recorded model, found model: what to change in the inventory. Raises CommandError."""
    try:
        with open(path, "w", newline="", encoding="utf-8") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(("camera_id", "recorded_model", "found_model"))
            for found in findings or ():
                if found.recipe is not None:
                    table.writerow((found.camera.camera_id, found.camera.model, found.model))
    except OSError as exc:
        raise CommandError(f"{plain(path)} cannot be written: {exc.strerror}.") from None


def document(found: Finding) -> dict[str, Any]:
    recorded = {"camera_id": found.camera.camera_id, "recorded_model": found.camera.model}
    return recorded | {"found_model": found.model or None} | found.document()


def shown(findings: Sequence[Finding] | None) -> Iterator[str]:
    """Sentences, the mismatches first."""
    if not findings:
        return
    named = [found for found in findings if found.recipe is not None]
    yield f"\nmodel_mismatch: {len(named)} of {len(findings)} cameras that were not found answer as another make."
    for found in sorted(findings, key=lambda found: found.recipe is None):
        recorded = plain(found.camera.model)
        answers = f"answers as {found.model}" if found.recipe else found.remark
        yield f"  {found.camera.camera_id:<20} recorded as {recorded}, {answers}"
