"""What the ledger costs: CPU beside a whole cycle, bytes a slot, and the time that reading and filling in take.

    python benchmarks/ledger.py [--seconds 30] [--cameras 1000] [--most 0.05]

A turn as in benchmarks/cycle.py gives the CPU of a cycle (100 cycles a second, all of the service). Then reports come
at the same pace in a process of their own, three a cycle (its end, accepted, archived), and once nothing comes at that
pace; the difference is the ledger's. A month of slots of so many cameras at five minutes is written, a day of it is
read, and a day's absence is filled in. Exits 1 when the ledger takes more than --most of a cycle.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cycle
import stage

from cctv_images.clock import RealClock
from cctv_images.records import LedgerRecord
from cctv_images.retain.account import Account, begin_of, day_of
from cctv_images.retain.ledger import Ledger
from cctv_images.retain.ledger_file import DAY_S, LedgerFile, Present
from cctv_images.retain.reasons import Kept

PACE = cycle.CAMERAS / cycle.INTERVAL_S
DAYS = 30


def cycle_ms(seconds: float) -> float:
    with (
        tempfile.TemporaryDirectory() as folder,
        stage.helper("cameras.py", str(cycle.CAMERAS), "--plain") as zoo,
        stage.helper("sink.py") as sink,
    ):
        inventory = Path(folder) / "cameras.csv"
        inventory.write_bytes(stage.get(zoo, "/zoo/inventory.csv"))
        start = cycle.contenders(inventory, sink, page=False)["service"]
        return cycle.fair_turn("service", start, sink, seconds).cpu_ms


def alone(seconds: float, *, report: bool) -> None:
    """Prints milliseconds of CPU per turn at the pace."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "ledger.sqlite", RealClock(), DAYS, LedgerRecord())
        turns, end, next_turn = 0, time.monotonic() + seconds, time.monotonic()
        cpu = resource.getrusage(resource.RUSAGE_SELF)
        while time.monotonic() < end:
            next_turn += 1 / PACE
            time.sleep(max(0.0, next_turn - time.monotonic()))
            camera, slot = f"CCTV-{turns % cycle.CAMERAS:04}", time.time()
            turns += 1
            if report:
                ledger.kept(camera, slot, Kept.ACCEPTED, captured_at=slot)
                ledger.cycle(camera, slot, captured=True, published=True, reason=None)
                ledger.kept(camera, slot, Kept.ARCHIVED, captured_at=slot)
        ledger.close()
        used = resource.getrusage(resource.RUSAGE_SELF)
        print((used.ru_utime + used.ru_stime - cpu.ru_utime - cpu.ru_stime) / turns * 1e3)


def measured_alone(seconds: float, *words: str) -> float:
    words = (sys.executable, __file__, "--seconds", str(seconds), "--alone", *words)
    return float(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def sizes(cameras: int) -> None:
    names = [f"CCTV-{n:05}" for n in range(cameras)]
    present = {name: Present(300) for name in names}
    begin = begin_of(day_of(time.time())) - DAYS * DAY_S
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite"
        file = LedgerFile(path)
        file.roll_call(present, begin, since=0, first=True)
        for day in range(DAYS - 1):
            for slot in range(begin + day * DAY_S, begin + (day + 1) * DAY_S, 300):
                file.write([(slot, name, True, True, Kept.ARCHIVED, 2, None, None) for name in names])
        file.close()
        slots = cameras * 288 * (DAYS - 1)
        print(f"{slots} slots take {path.stat().st_size / slots:.1f} bytes each, {path.stat().st_size / 1e6:.0f} MB")
        account, day = Account(path, time.time()), day_of(begin + 10 * DAY_S)
        began = time.monotonic()
        assert len(account.figures(day)) == cameras
        print(f"a day of {cameras} cameras is read in {time.monotonic() - began:.2f} s")
        account.close()
        file, began = LedgerFile(path), time.monotonic()
        end = begin + (DAYS - 1) * DAY_S
        file.roll_call(present, end, since=end - DAY_S, first=False)
        began = time.monotonic()
        file.roll_call(present, end + DAY_S, since=end, first=True)
        print(f"a day's absence is filled in in {time.monotonic() - began:.2f} s")
        file.close()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--cameras", type=int, default=1000)
    parser.add_argument("--most", type=float, default=0.05)
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--silent", action="store_true")
    args = parser.parse_args()
    if args.alone:
        alone(args.seconds, report=not args.silent)
        return 0
    stage.raise_file_limit()
    whole = cycle_ms(args.seconds)
    own = measured_alone(args.seconds) - measured_alone(args.seconds, "--silent")
    print(f"the ledger takes {own:.3f} ms of a cycle's {whole:.2f} ms of CPU, ratio {own / whole:.3f}")
    sizes(args.cameras)
    return int(own / whole > args.most)


if __name__ == "__main__":
    sys.exit(main())
