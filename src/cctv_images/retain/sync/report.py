"""A run as one small document, and as sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.filesize import decimal as size

from cctv_images.clock import iso
from cctv_images.errors import plain
from cctv_images.retain.sync.tally import CLASSES, DIFFERENT, EXTRA, MISSING, NEWER, SAME, Moved, Tally

MAX_SENTENCE = 300
EXAMPLES = 6
FINISHED = "finished"


@dataclass(slots=True)
class Account:
    """What a report says besides the counts."""

    run_id: str
    source: str
    destination: str
    asked: Mapping[str, Any]
    """Selection, options, and how the two ends are reached. No secrets."""
    started: float
    state: str = "running"
    error: str = ""
    """Why it failed."""
    notes: list[str] = field(default_factory=list)


def document(account: Account, tally: Tally, now: float) -> dict[str, Any]:
    """Fits into 8 KB. now: epoch seconds."""
    compared = tally.compared
    seconds = max(now - account.started, 0.001)
    complete = account.state == FINISHED and compared.complete and not _left_missing(account, tally)
    return {
        "id": account.run_id,
        "state": account.state,
        "complete": complete,
        "error": plain(account.error, MAX_SENTENCE) or None,
        "source": account.source,
        "destination": account.destination,
        "asked": dict(account.asked),
        "started": iso(account.started),
        "until": iso(now),
        "seconds": round(seconds, 1),
        "sides": {
            name: kinds.document() for name, kinds in zip(("source", "destination"), compared.sides, strict=True)
        },
        "compared_to_the_end": compared.done,
        "classes": {name: compared.classes[name].document() for name in CLASSES},
        "copied": tally.copied.document(),
        "updated": tally.updated.document(),
        "copied_by_server": tally.by_server.document(),
        "left": {
            "missing": _left_missing(account, tally),
            "different": compared.left_different,
            "failed": compared.errors.total(),
            "unsettled": compared.open,
        },
        "arrived_meanwhile": compared.arrived,
        "vanished_meanwhile": compared.vanished,
        "retries": tally.retries,
        "errors": dict(compared.errors.most_common(20)),
        "examples": {reason: compared.examples[reason] for reason, _ in compared.errors.most_common(EXAMPLES)},
        "passed_over": dict(compared.passed_over),
        "bytes_per_second": round(tally.moved.bytes / seconds),
        "objects_per_second": round(tally.moved.objects / seconds, 1),
        "notes": account.notes,
    }


def _left_missing(account: Account, tally: Tally) -> int:
    return tally.compared.classes[MISSING].total.objects if account.asked["options"]["report_only"] else 0


def sentences(report: Mapping[str, Any]) -> Iterator[str]:
    """For people, without the verdict."""
    classes, sides = report["classes"], report["sides"]
    yield f"sync         {report['id']}, {report['state']}, {report['started']}, {duration(report['seconds'])}"
    for name in ("source", "destination"):
        side, endpoint = sides[name], report["asked"]["ends"].get(f"{name}_endpoint")
        where = f"{report[name]} at {endpoint}" if endpoint else report[name]
        yield f"{name:<12} {where}: {side['objects']:,} objects, {size(side['bytes'])}"
    words = {SAME: "the same", MISSING: "missing at the destination", DIFFERENT: "different"}
    words |= {NEWER: "newer at the destination", EXTRA: "only at the destination"}
    for name, word in words.items():
        if classes[name]["objects"] or name in (SAME, MISSING):
            yield f"             {classes[name]['objects']:,} {word}, {size(classes[name]['bytes'])}"
    for name in ("copied", "updated"):
        if report[name]["objects"]:
            rate = f"{report['objects_per_second']:g} objects/s, {size(report['bytes_per_second'])}/s"
            yield f"{name:<12} {report[name]['objects']:,} objects, {size(report[name]['bytes'])} ({rate})"
    for name in ("arrived", "vanished"):
        if count := report[f"{name}_meanwhile"]:
            yield f"meanwhile    {count:,} {name} by themselves"
    for reason, sentence in report["examples"].items():
        yield f"failed       {report['errors'][reason]:,} × {reason}, the first: {sentence}"
    for why, count in report["passed_over"].items():
        yield f"passed over  {count:,} × {why}"
    for each in report.get("lists", {}).values():
        yield f"list         {each['file']}, {each['lines']:,} lines"
    for note in report["notes"]:
        yield f"note         {note}"


def told(report: Mapping[str, Any]) -> list[str]:
    """All that is said of it. Raises KeyError, TypeError, ValueError or AttributeError where it is none of ours."""
    return [*sentences(report), verdict(report)]


def verdict(report: Mapping[str, Any]) -> str:
    """What the exit code says, in words."""
    if report["complete"]:
        newer = report["classes"][NEWER]["objects"]
        return f"The destination has everything{f', {newer:,} of it newer' if newer else ''}."
    left = report["left"]
    parts = [
        report["error"] or ("" if report["state"] == FINISHED else f"{report['state']}: run it again to go on"),
        f"{left['missing']:,} missing at the destination" if left["missing"] else "",
        f"{left['different']:,} different (--update replaces older ones)" if left["different"] else "",
        f"{left['failed']:,} failed" if left["failed"] else "",
        f"{left['unsettled']:,} found and not yet settled" if left["unsettled"] else "",
    ]
    found = "; ".join(part for part in parts if part)
    return f"{found[:1].upper()}{found[1:]}."


def progress(tally: Tally, before: Moved, seconds: float) -> str:
    """One line on how it is going. before: what had been moved `seconds` ago."""
    compared, moved = tally.compared, tally.moved
    rates = [(now - then) / max(seconds, 0.001) for now, then in zip(moved, before, strict=True)]
    found = f"found {compared.sides[0].total.objects:,}{'' if compared.done else ' so far'}"
    to_do = f"to do {compared.open:,} ({size(compared.open_bytes)})"
    failed = f", failed {compared.errors.total():,}" if compared.errors else ""
    line = f"{found}, {to_do}, copied {moved.objects:,} ({size(moved.bytes)}){failed}, {size(int(rates[1]))}/s"
    if not compared.open:
        return line
    known = compared.done and all(rates)
    left = max(compared.open / rates[0], compared.open_bytes / rates[1]) if known else 0.0
    return f"{line}, {duration(left) if known else '?'} left"


def duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02} min"
