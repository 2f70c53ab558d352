"""Whether an archive that was out for an hour catches up without being noticed by those who watch the pictures.

    python benchmarks/archive.py          1,000 cameras at 20 s; 12,000 pictures wait: an hour of five minutes each

The hour is spooled before the service starts; then it runs with the archive out, with it back and the spool draining
(the newest and the oldest in turn, at most --rate copies a second), and with an empty spool, for --seconds each but for
the draining. Pictures are published into a folder and archived into a stand-in for S3. Prints a table of the three;
exits 1 when a slot was missed, the spool did not run empty, or lateness while draining breaks its bound.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import fleet
import stage

from cctv_images.retain.spool import Draft, Spool

ARCHIVE = "s3://kept"
LOOK_EVERY_S = 2.0
DRAINED_S = 600.0


@dataclass(slots=True)
class Period:
    name: str
    seconds: float = 0.0
    published: float = 0.0
    archived: float = 0.0
    spooled: float = 0.0
    """At its end."""
    cpu_s: float = 0.0
    skipped: float = 0.0
    lateness_p99: list[float] = field(default_factory=list)
    lag: list[float] = field(default_factory=list)
    memory: float = 0.0

    def cells(self) -> tuple[str, ...]:
        late, lag = (f"{max(values) * 1e3:.0f} ms" for values in (self.lateness_p99, self.lag))
        pace = f"{self.published / self.seconds:.0f}/s", f"{self.archived / self.seconds:.0f}/s"
        cpu = f"{self.cpu_s / self.seconds:.0%}"
        middle = f"{statistics.median(self.lateness_p99) * 1e3:.0f} ms"
        sizes = f"{self.spooled:.0f}", f"{self.memory:.0f} MiB"
        return (self.name, f"{self.seconds:.0f} s", *pace, middle, late, lag, cpu, *sizes, f"{self.skipped:.0f}")


HEADINGS = (
    "archive",
    "for",
    "published",
    "archived",
    "lateness p99",
    "worst",
    "lag",
    "CPU",
    "spool",
    "memory",
    "missed",
)


def spool_an_hour(state: Path, count: int) -> None:
    """As an earlier life would have left it: --cameras times twelve slots of five minutes."""
    spool, begin = Spool(state / "spool", ARCHIVE, 1 << 40), time.time() - 3600
    spool.open()
    for batch in range(0, count, 1000):
        drafts = []
        for number in range(batch, min(batch + 1000, count)):
            body = b"\xff\xd8" + os.urandom(64) + bytes(100_000)
            at = begin + 3600 * number / count
            drafts.append(Draft(f"old-{number % 1000}", at, at, body, hashlib.md5(body).hexdigest()))
        spool.accept(drafts)
    spool.close()


def period(name: str, pid: int, page: int, ends: Iterator[bool]) -> Period:
    """Looked at every LOOK_EVERY_S until `ends` says so."""
    found, first, cpu, began = Period(name), fleet.metrics(page), stage.cpu_s(pid), time.monotonic()
    for over in ends:
        time.sleep(LOOK_EVERY_S)
        last = fleet.metrics(page)
        found.lateness_p99.append(fleet.figure(last, 'cycle_lateness_seconds{quantile="0.99"}'))
        found.lag.append(fleet.figure(last, "loop_lag_seconds"))
        found.memory = max(found.memory, stage.memory(pid).rss)
        if over:
            break
    found.seconds = time.monotonic() - began
    found.cpu_s = stage.cpu_s(pid) - cpu
    for what, name_of in (("published", 'published_total{kind="picture"}'), ("archived", "archived_total")):
        setattr(found, what, fleet.figure(last, name_of) - fleet.figure(first, name_of))
    found.skipped = fleet.figure(last, "slots_skipped_total") - fleet.figure(first, "slots_skipped_total")
    found.spooled = fleet.figure(last, "spool_entries")
    return found


def lasting(seconds: float) -> Iterator[bool]:
    end = time.monotonic() + seconds
    while True:
        yield time.monotonic() >= end


def until_drained(page: int, left: int) -> Iterator[bool]:
    end = time.monotonic() + DRAINED_S
    while True:
        yield fleet.figure(fleet.metrics(page), "spool_entries") <= left or time.monotonic() > end


def run(args: argparse.Namespace) -> list[Period]:
    page, port = stage.free_port(), stage.free_port()
    with (
        tempfile.TemporaryDirectory(dir=args.folder) as name,
        stage.helper("cameras.py", str(args.cameras)) as zoo,
    ):
        folder = Path(name)
        spool_an_hour(folder, 12 * args.cameras)
        settings = fleet.settings(args, folder, zoo, port, page) | {
            "CCTV_STORE": f"file://{folder}/public",
            "CCTV_ARCHIVE": ARCHIVE,
            "CCTV_ARCHIVE_RATE": str(args.rate),
            "CCTV_SPOOL_BYTES": str(1 << 40),
        }
        with stage.service(folder, settings) as pid:
            fleet.started(page, args.interval + fleet.START_LIMIT_S)
            time.sleep(args.interval)
            periods = [period("out", pid, page, lasting(args.seconds))]
            with stage.helper("sink.py", str(port)):
                periods.append(period("back", pid, page, until_drained(page, args.cameras // 2)))
                time.sleep(args.interval)
                periods.append(period("well", pid, page, lasting(args.seconds)))
        return periods


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cameras", type=int, default=1000)
    parser.add_argument("--interval", type=float, default=20.0)
    parser.add_argument("--seconds", type=float, default=45.0)
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument(
        "--lateness", type=float, default=0.25, help="seconds, median of the 99th percentiles, draining"
    )
    parser.add_argument("--folder", help="where the spool is made; default: the temporary folder")
    parser.set_defaults(renditions="full")
    args = parser.parse_args()
    stage.raise_file_limit()
    periods = run(args)
    rows = [HEADINGS, *(found.cells() for found in periods)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print(f"{args.cameras} cameras every {args.interval:g} s, {12 * args.cameras} pictures from an outage of an hour")
    for row in rows:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
    back = periods[1]
    late = statistics.median(back.lateness_p99)
    drained = back.spooled <= args.cameras // 2
    return 0 if late <= args.lateness and drained and not sum(found.skipped for found in periods) else 1


if __name__ == "__main__":
    sys.exit(main())
