"""CPU per full cycle at a paced 100 cycles a second, beside a plain poller that verifies nothing.

    python benchmarks/cycle.py [--seconds 30] [--rounds 3] [--page] [--most 0.75]

1,000 camera tasks at an interval of 10 s. A cycle: get a 100 KB JPEG of 1280×720 from a host of its own over a new
connection, (ours) decode it to its end, put it to a sink on the loopback (plain http) and prove it by its ETag.
The poller (plain.py) and the service (`cctv-images run`) take turns, each in a process of its own, beside cameras and
sink in theirs. What is counted is user and system time of the process under test over the objects that the sink took.
--page: the service also with its page on, which keeps a copy of each picture in the state folder.
Exits 1 when the ratio of the medians is above --most, or when a contender did not keep the pace.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import stage

CAMERAS, INTERVAL_S = 1000, 10.0
WARM_UP_S = 20.0
TRIES = 4


@dataclass(frozen=True, slots=True)
class Turn:
    cpu_ms: float
    """Per object put."""
    per_second: float
    rss: float


Contender = Callable[[Path], AbstractContextManager[int]]
"""Starts the process in a folder; gives its id."""


def contenders(inventory: Path, sink: int, *, page: bool) -> dict[str, Contender]:
    settings = stage.store_settings(sink) | {
        "CCTV_INVENTORY": str(inventory),
        "CCTV_INTERVAL": f"{INTERVAL_S:g}",
        "CCTV_STARTUP_SPREAD": f"{INTERVAL_S:g}",
        "CCTV_TIMEOUT": "4",
        "CCTV_ATTEMPTS": "2",
        "CCTV_LISTEN": "",
    }

    def plain(folder: Path) -> AbstractContextManager[int]:
        words = (str(stage.HERE / "plain.py"), str(inventory), f"http://127.0.0.1:{sink}", f"{INTERVAL_S:g}")
        return stage.subject(folder, *words)

    found: dict[str, Contender] = {"plain": plain, "service": lambda folder: stage.service(folder, settings)}
    if page:
        listen = {"CCTV_LISTEN": f"127.0.0.1:{stage.free_port()}"}
        found["service with page"] = lambda folder: stage.service(folder, settings | listen)
    return found


def take_turn(start: Contender, sink: int, seconds: float) -> Turn:
    with tempfile.TemporaryDirectory() as folder, start(Path(folder)) as pid:
        time.sleep(WARM_UP_S)
        began, cpu, objects = time.monotonic(), stage.cpu_s(pid), stage.stats(sink)["objects"]
        time.sleep(seconds)
        cpu, objects = stage.cpu_s(pid) - cpu, stage.stats(sink)["objects"] - objects
        return Turn(cpu / max(objects, 1) * 1e3, objects / (time.monotonic() - began), stage.memory(pid).rss)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--most", type=float, default=0.75)
    args = parser.parse_args()
    stage.raise_file_limit()
    with (
        tempfile.TemporaryDirectory() as folder,
        stage.helper("cameras.py", str(CAMERAS), "--plain") as zoo,
        stage.helper("sink.py") as sink,
    ):
        inventory = Path(folder) / "cameras.csv"
        inventory.write_bytes(stage.get(zoo, "/zoo/inventory.csv"))
        turns: dict[str, list[Turn]] = {}
        for _ in range(args.rounds):
            for name, start in contenders(inventory, sink, page=args.page).items():
                turns.setdefault(name, []).append(fair_turn(name, start, sink, args.seconds))
    return report(turns, args.most)


def fair_turn(name: str, start: Contender, sink: int, seconds: float) -> Turn:
    """A turn at the full pace. On a machine that others use the poller's connection pool may collapse: then again."""
    pace = CAMERAS / INTERVAL_S
    for _ in range(TRIES):
        turn = take_turn(start, sink, seconds)
        fair = abs(turn.per_second - pace) <= pace / 20
        word = "" if fair else "   <- too slow: again"
        print(f"{name:<18} {turn.cpu_ms:.2f} ms/cycle {turn.per_second:.1f}/s {turn.rss:.0f} MiB{word}", flush=True)
        if fair:
            return turn
    raise SystemExit(f"{name} did not keep the pace of {pace:g} cycles a second {TRIES} times: no result")


def report(turns: dict[str, list[Turn]], most: float) -> int:
    medians = {name: statistics.median(turn.cpu_ms for turn in taken) for name, taken in turns.items()}
    ratios = {name: median / medians["plain"] for name, median in medians.items()}
    for name, median in medians.items():
        print(f"median {name:<18} {median:.2f} ms of CPU per cycle, ratio {ratios[name]:.2f}")
    return int(ratios["service"] > most)


if __name__ == "__main__":
    sys.exit(main())
