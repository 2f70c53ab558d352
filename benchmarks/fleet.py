"""Whether one process holds a fleet: no slot missed, little lateness, memory flat; with and without hostile cameras.

    python benchmarks/fleet.py                                   1,000 cameras at 5 s: 200 cycles a second
    python benchmarks/fleet.py --hostile 300                     300 of them drip, stall, flood, lie, reset, refuse
    python benchmarks/fleet.py --renditions full,thumb:640x360   a thumbnail of each picture as well
    python benchmarks/fleet.py --cameras 10000 --interval 60

The service is `cctv-images run` with its page on, in a process of its own with the unit's memory settings; cameras of
a dozen makes (most want a login; 100 KB, 1280×720) and a stand-in for S3 are beside it. Once every camera has had its
first cycle it is watched for --seconds. Lateness is the worst 99th percentile that any look at /metrics showed, each
over the last 4,096 cycles. Memory is looked at every 5 s; its slope is that of the line of least squares.
Prints one table; exits 1 when a bound is broken (--lateness, --memory, --slope, --scrape, and not one slot missed).
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import stage

LOOK_EVERY_S = 5.0
START_LIMIT_S = 60.0


@dataclass(slots=True)
class Watched:
    seconds: float = 0.0
    cpu_s: float = 0.0
    cycles: float = 0.0
    published: float = 0.0
    skipped: float = 0.0
    """Since the start of the process."""
    overdue: int = 0
    """Healthy cameras whose newest picture in the store is older than an interval and a half."""
    lateness_p50: list[float] = field(default_factory=list)
    lateness_p99: list[float] = field(default_factory=list)
    lag: list[float] = field(default_factory=list)
    memory: list[tuple[float, stage.Memory]] = field(default_factory=list)
    metrics_s: list[float] = field(default_factory=list)
    cameras_s: list[float] = field(default_factory=list)

    @property
    def slope(self) -> float:
        """Mebibytes of RSS a minute."""
        return statistics.linear_regression(*zip(*((at / 60, m.rss) for at, m in self.memory), strict=True)).slope


def metrics(port: int) -> dict[str, float]:
    lines = stage.get(port, "/metrics").decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


def figure(found: dict[str, float], name: str) -> float:
    return found[f"cctv_images_{name}"]


def settings(args: argparse.Namespace, folder: Path, zoo: int, sink: int, page: int) -> dict[str, str]:
    inventory = folder / "cameras.csv"
    inventory.write_bytes(stage.get(zoo, "/zoo/inventory.csv"))
    return stage.store_settings(sink) | {
        "CCTV_INVENTORY": str(inventory),
        "CCTV_CREDENTIALS": stage.get(zoo, "/zoo/credentials.json").decode(),
        "CCTV_INTERVAL": f"{args.interval:g}",
        "CCTV_STARTUP_SPREAD": f"{args.interval:g}",
        "CCTV_TIMEOUT": f"{min(args.interval / 5, 10):g}",
        "CCTV_ATTEMPTS": "2",
        "CCTV_BACKOFF": "0.5",
        "CCTV_FAILURE_LIMIT": "0",  # hostile cameras stay
        "CCTV_REFUSAL_LIMIT": "1000000",
        "CCTV_LISTEN": f"127.0.0.1:{page}",
        "CCTV_RENDITIONS": args.renditions,
    }


def started(page: int, limit_s: float) -> None:
    """Returns once every camera has had its first cycle."""
    for _ in range(int(limit_s)):
        time.sleep(1.0)
        try:
            if stage.get(page, "/healthz") == b"ok\n":
                return
        except OSError:
            continue
    raise SystemExit(f"after {limit_s:g} s not every camera has had a cycle")


def looks(seconds: float) -> Iterator[float]:
    began = time.monotonic()
    for look in range(int(seconds / LOOK_EVERY_S) + 1):
        stage.until(began + look * LOOK_EVERY_S)
        yield time.monotonic() - began


def watch(pid: int, page: int, seconds: float) -> Watched:
    seen, first, cpu = Watched(), metrics(page), stage.cpu_s(pid)
    for seen.seconds in looks(seconds):
        began = time.monotonic()
        last = metrics(page)
        seen.metrics_s.append(time.monotonic() - began)
        seen.lateness_p50.append(figure(last, 'cycle_lateness_seconds{quantile="0.5"}'))
        seen.lateness_p99.append(figure(last, 'cycle_lateness_seconds{quantile="0.99"}'))
        seen.lag.append(figure(last, "loop_lag_seconds"))
        seen.memory.append((seen.seconds, stage.memory(pid)))
        began = time.monotonic()
        stage.get(page, "/api/cameras")
        seen.cameras_s.append(time.monotonic() - began)
    seen.cpu_s = stage.cpu_s(pid) - cpu
    seen.cycles = figure(last, "cycles_total") - figure(first, "cycles_total")
    name = 'published_total{kind="picture"}'
    seen.published = figure(last, name) - figure(first, name)
    seen.skipped = figure(last, "slots_skipped_total")
    return seen


def overdue(zoo: int, sink: int, limit_s: float) -> int:
    newest, now = stage.stats(sink)["newest"], time.time()
    healthy = [i for i, camera in json.loads(stage.get(zoo, "/zoo/stats")).items() if camera["fault"] == "none"]
    return sum(now - newest.get(f"/bench/image/{i}.jpg", 0) > limit_s for i in healthy)


def run(args: argparse.Namespace) -> Watched:
    page = stage.free_port()
    with (
        tempfile.TemporaryDirectory() as folder,
        stage.helper("cameras.py", str(args.cameras), "--hostile", str(args.hostile)) as zoo,
        stage.helper("sink.py") as sink,
        stage.service(Path(folder), settings(args, Path(folder), zoo, sink, page)) as pid,
    ):
        started(page, args.interval + START_LIMIT_S)
        time.sleep(args.interval)  # the second slots are on their phases
        seen = watch(pid, page, args.seconds)
        seen.overdue = overdue(zoo, sink, 1.5 * args.interval)
        return seen


def verdicts(seen: Watched, args: argparse.Namespace) -> Iterator[tuple[str, str, bool]]:
    """(what, figure, whether it is within its bound)."""
    rss, pss = (max(getattr(m, kind) for _, m in seen.memory) for kind in ("rss", "pss"))
    pace, late = args.cameras / args.interval, max(seen.lateness_p99)
    scrape, cameras = (statistics.median(times) * 1e3 for times in (seen.metrics_s, seen.cameras_s))
    yield "cycles a second", f"{seen.cycles / seen.seconds:.1f} of {pace:.1f}", seen.cycles > 0.98 * pace * seen.seconds
    yield "pictures published", f"{seen.published:.0f}", seen.published > 0
    yield "slots missed", f"{seen.skipped:.0f}", seen.skipped == 0
    yield "healthy cameras behind", f"{seen.overdue}", seen.overdue == 0
    yield "lateness p50, median", f"{statistics.median(seen.lateness_p50) * 1e3:.0f} ms", True
    yield "lateness p99, worst", f"{late * 1e3:.0f} ms", late <= args.lateness
    yield "loop lag, worst", f"{max(seen.lag) * 1e3:.0f} ms", True
    yield "memory, peak", f"{rss:.0f} MiB RSS, {pss:.0f} MiB PSS", rss <= args.memory
    yield "memory, slope", f"{seen.slope:+.2f} MiB a minute", seen.slope <= args.slope
    yield "CPU", f"{seen.cpu_s / seen.seconds:.0%} of a core, {seen.cpu_s / seen.cycles * 1e3:.2f} ms a cycle", True
    yield "/metrics, median", f"{scrape:.0f} ms", scrape <= args.scrape * max(1.0, args.cameras / 1000)
    yield "/api/cameras, median", f"{cameras:.0f} ms", True


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cameras", type=int, default=1000)
    parser.add_argument("--interval", type=float, default=5.0)
    parser.add_argument("--hostile", type=int, default=0)
    parser.add_argument("--renditions", default="full")
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--lateness", type=float, default=0.25, help="seconds, 99th percentile")
    parser.add_argument("--memory", type=float, default=200.0, help="MiB of RSS")
    parser.add_argument("--slope", type=float, default=3.0, help="MiB a minute")
    parser.add_argument("--scrape", type=float, default=20.0, help="ms for /metrics per 1,000 cameras")
    args = parser.parse_args()
    stage.raise_file_limit()
    rows = list(verdicts(run(args), args))
    print(f"{args.cameras} cameras every {args.interval:g} s, {args.hostile} of them hostile, for {args.seconds:g} s")
    for what, shown, fine in rows:
        print(f"  {what:<24} {shown}{'' if fine else '   <- out of bounds'}")
    return 0 if all(fine for _, _, fine in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
