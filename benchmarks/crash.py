"""Whether what the spool has accepted is ever lost: a real daemon under load, killed and hindered in every way we know.

    python benchmarks/crash.py                      200 kills and all else, some 20 minutes
    python benchmarks/crash.py --kills 20 --only bucket,folder

kill -9 at random instants, the start included, over an archive in SeaweedFS (`bucket`; it is killed and restarted, too)
and in a folder (`folder`); EIO and ENOSPC on write, flush and rename (`errors`, strace); a small tmpfs that fills, once
for each CCTV_SPOOL_FULL (`full`, needs root); an outage of the archive with the daemon alive (`outage`); a wall clock
that steps by an hour and a day, both ways (`clock`, libfaketime).

A witness beside the daemon notes each file that appears in the spool: so much was accepted. When all is over and the
spool had time to run empty, each one must lie in the archive under one name with exactly its bytes, or in the spool, or
stand in the ledger as lost. Every picture of the simulated cameras is one of its own. Prints the figures; exits 1 when
something is unaccounted for, doubled or damaged.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import hashlib
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import stage
from aiobotocore.session import get_session
from botocore.config import Config

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from s3 import Weed

from cctv_images.retain.reasons import LOSSES, Kept
from cctv_images.retain.spool_home import tag
from cctv_images.retain.spooled import Spooled

KEY = re.compile(r"[^/.][^/]*/\d{4}/\d\d/\d\d/\d{6}Z(-\d+)?\.jpg")
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
EMPTY_S = 180.0


@dataclass(slots=True)
class Account:
    """What became of the pictures of one scene."""

    kills: int = 0
    accepted: int = 0
    archived: int = 0
    spooled: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    """Accepted, and in the ledger as lost, by reason."""
    refused: Counter[str] = field(default_factory=Counter)
    """In the ledger as lost: all, also those that were never accepted."""
    taken_back: int = 0
    """Seen for a moment, and never accepted: the folder's flush failed, and the kill came before the ledger's turn."""
    missing: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    unsettled: int = 0
    """Slots that the ledger calls accepted and that are neither in the spool nor archived."""

    @property
    def good(self) -> bool:
        sound = not (self.missing or self.doubled or self.damaged or self.unsettled)
        return sound and self.accepted == self.archived + self.spooled + self.lost.total() > 0


class Witness:
    """Notes every file that appears in the spool, twenty times a second: each stays there for longer."""

    def __init__(self, spool: Path) -> None:
        self._spool = spool
        self.seen: dict[tuple[str, str, str, float], Spooled] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            self.look()

    def look(self) -> list[Spooled]:
        now = entries(self._spool)
        for entry in now:
            self.seen[entry.camera_id, entry.stamp, entry.md5, entry.slot] = entry
        return now

    def close(self) -> None:
        self._over.set()
        self._thread.join()


def entries(spool: Path) -> list[Spooled]:
    with suppress(FileNotFoundError):
        return [entry for path in spool.glob("*/2*/*.jpg") if (entry := Spooled.of(path.name))]
    return []


class Scene:
    """One state folder, one archive, one zoo; daemons come and go."""

    def __init__(self, folder: Path, zoo: int, archive: str, more: dict[str, str]) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.spool = self.state / "spool"
        self.archive = archive
        self.account = Account()
        self.unflushed: set[str] = set()
        """Names of files whose folder's flush is known to have failed."""
        inventory = folder / "cameras.csv"
        inventory.write_bytes(stage.get(zoo, "/zoo/inventory.csv"))
        self.state.mkdir(exist_ok=True)
        self.env = {
            "PATH": os.environ["PATH"],
            "CCTV_INVENTORY": str(inventory),
            "CCTV_STORE": f"file://{folder}/public",
            "CCTV_ARCHIVE": archive,
            "CCTV_ARCHIVE_RATE": "300",
            "CCTV_STATE_DIR": str(self.state),
            "CCTV_CONTROL": str(folder / "control.sock"),
            "CCTV_LOG_FILE": str(folder / "log"),
            "CCTV_LISTEN": "",
            "CCTV_INTERVAL": "1",
            "CCTV_STARTUP_SPREAD": "0",
            "CCTV_TIMEOUT": "0.9",
            "CCTV_ATTEMPTS": "1",
            "CCTV_FAILURE_LIMIT": "0",
            "CCTV_UPLINK_HOLD": "0",
        } | more
        self.witness = Witness(self.spool)

    @contextmanager
    def daemon(self, *wrapper: str, **env: str) -> Iterator[subprocess.Popen[bytes]]:
        """Killed with all its children when the block is left, unless it has ended."""
        with (self.folder / "out").open("ab") as out:
            process = subprocess.Popen(
                [*wrapper, sys.executable, "-m", "cctv_images", "run"],
                env=self.env | env,
                stdout=out,
                stderr=out,
                start_new_session=True,
                preexec_fn=lambda: ctypes.CDLL(None).prctl(stage.PR_SET_PDEATHSIG, signal.SIGKILL),
            )
            try:
                yield process
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def killed_after(self, seconds: float, *wrapper: str, **env: str) -> None:
        with self.daemon(*wrapper, **env) as process:
            time.sleep(seconds)
            code = process.poll()
            if code is not None and not wrapper:
                raise SystemExit(f"the daemon ended by itself ({code}), see {self.folder}/out")
        self.account.kills += 1
        self.prove_bytes()

    def prove_bytes(self) -> None:
        """Every file that a kill has left in the spool is whole."""
        self.witness.look()
        for path in self.spool.glob("*/2*/*.jpg"):
            if (entry := Spooled.of(path.name)) and hashlib.md5(path.read_bytes()).hexdigest() != entry.md5:
                self.account.damaged.append(path.name)

    def run_empty(self) -> None:
        """Cameras are let alone meanwhile, so that the spool can run empty."""
        end, starts = time.monotonic() + EMPTY_S, self._starts()
        with self.daemon(CCTV_INTERVAL="3600", CCTV_STARTUP_SPREAD="3600", CCTV_TIMEOUT="10") as process:
            while (self._starts() == starts or self.witness.look()) and time.monotonic() < end:
                time.sleep(0.2)
            time.sleep(3)
            process.terminate()
            process.wait(15)

    def _starts(self) -> int:
        log = self.folder / "log"
        return log.read_text().count("service_started") if log.exists() else 0

    def close(self, copies: dict[str, str]) -> Account:
        """copies: key -> MD5 of what the archive holds."""
        self.witness.close()
        account, left = self.account, self.witness.look()
        spooled = {(entry.camera_id, entry.md5) for entry in left}
        kept = Counter((key.split("/")[0], md5) for key, md5 in copies.items())
        lost, unsettled = self._ledger({(entry.camera_id, int(entry.slot)) for entry in left})
        for entry in self.witness.seen.values():
            account.accepted += 1
            if (entry.camera_id, entry.md5) in kept:
                account.archived += 1
            elif (entry.camera_id, entry.md5) in spooled:
                account.spooled += 1
            elif reason := lost.get((entry.camera_id, int(entry.slot))):
                account.lost[reason] += 1
            elif entry.name in self.unflushed:
                account.accepted -= 1
                account.taken_back += 1
            else:
                account.missing.append(entry.name)
        account.doubled = [f"{camera_id} {md5}" for (camera_id, md5), count in kept.items() if count > 1]
        account.refused = Counter(lost.values())
        account.unsettled = unsettled
        known = {(entry.camera_id, entry.stamp): entry.md5 for entry in self.witness.seen.values()}
        for key, md5 in copies.items():
            if not KEY.fullmatch(key):
                account.damaged.append(key)
            moment = (key.split("/")[0], re.sub(r"^[^/]*/(\d+)/(\d+)/(\d+)/(\d+Z).*", r"\1\2\3T\4", key))
            if "-" not in key.rpartition("Z")[2] and moment in known:
                whole = {e.md5 for e in self.witness.seen.values() if (e.camera_id, e.stamp) == moment}
                account.damaged += [] if md5 in whole else [key]
        return account

    def _ledger(self, left: set[tuple[str, int]]) -> tuple[dict[tuple[str, int], str], int]:
        with sqlite3.connect(self.state / "ledger.sqlite") as db:
            query = "SELECT name, slot, kept, lost FROM slot JOIN camera ON camera.id = slot.camera"
            rows = db.execute(query).fetchall()
        lost = {(name, slot): reason for name, slot, _, reason in rows if reason in LOSSES}
        accepted = {(name, slot) for name, slot, kept, _ in rows if kept == Kept.ACCEPTED}
        return lost, len(accepted - left)


# --- archives -----------------------------------------------------------------------------------------------------


async def bucket_copies(weed: Weed, bucket: str) -> dict[str, str]:
    """By another client than ours. A put by one request has the body's MD5 as its ETag."""
    async with get_session().create_client(
        "s3",
        endpoint_url=weed.endpoint,
        region_name=weed.region,
        aws_access_key_id=weed.access_key,
        aws_secret_access_key=weed.secret_key,
        config=Config(s3={"addressing_style": "path"}, proxies={}),
    ) as client:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        found = [item async for page in pages for item in page.get("Contents", [])]
        copies = {}
        for item in found:
            if not item["Key"].startswith(".cctv-images/"):
                body = await (await client.get_object(Bucket=bucket, Key=item["Key"]))["Body"].read()
                copies[item["Key"]] = hashlib.md5(body).hexdigest()
        return copies


def folder_copies(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    ours = (".cctv-images", ".cctv-tmp")
    found = {str(path.relative_to(folder)): path for path in files if not set(path.parts) & set(ours)}
    return {key: hashlib.md5(path.read_bytes()).hexdigest() for key, path in found.items()}


def aws(weed: Weed) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL_S3": weed.endpoint,
        "AWS_ACCESS_KEY_ID": weed.access_key,
        "AWS_SECRET_ACCESS_KEY": weed.secret_key,
        "AWS_REGION": weed.region,
        "CCTV_S3_OPTIONS": '{"addressing": "path"}',
    }


# --- scenes -------------------------------------------------------------------------------------------------------


@contextmanager
def in_bucket(folder: Path, zoo: int, **more: str) -> Iterator[tuple[Scene, Weed]]:
    weed = Weed(folder)
    weed.start()
    try:
        asyncio.run(weed.make_bucket("kept"))
        yield Scene(folder, zoo, "s3://kept", aws(weed) | more), weed
    finally:
        weed.kill9()


def bucket(folder: Path, zoo: int, args: argparse.Namespace) -> Account:
    with in_bucket(folder, zoo) as (scene, weed):
        for turn in range(args.kills // 2):
            if turn % 10 == 5:
                weed.kill9()
            scene.killed_after(random.uniform(0.2, args.longest))
            if turn % 10 == 7:
                weed.start()
        weed.restart()
        scene.run_empty()
        return scene.close(asyncio.run(bucket_copies(weed, "kept")))


def folder(folder: Path, zoo: int, args: argparse.Namespace) -> Account:
    scene = Scene(folder, zoo, f"file://{folder}/kept", {})
    for _ in range(args.kills - args.kills // 2):
        scene.killed_after(random.uniform(0.2, args.longest))
    scene.run_empty()
    return scene.close(folder_copies(folder / "kept"))


def errors(folder: Path, zoo: int, args: argparse.Namespace) -> Account:
    """Of the spool's own files alone: a write that fails on one of the event loop's pipes would test libuv."""
    scene = Scene(folder, zoo, f"file://{folder}/kept", {})
    home = scene.spool / tag(scene.archive)
    for write, fsync, rename in (("ENOSPC", "EIO", "EIO"), ("EIO", "ENOSPC", "ENOSPC"), ("EDQUOT", "EROFS", "EACCES")):
        now = datetime.now(UTC)
        minutes = [home / (now + timedelta(minutes=n)).strftime("%Y%m%dT%H%M") for n in range(4)]
        paths = [*(home / "new" / str(n) for n in range(2000)), *minutes]
        faults = {"write": f"{write}:when=9+29", "fsync": f"{fsync}:when=5+13", "rename": f"{rename}:when=7+23"}
        trace = folder / f"trace-{write}"
        strace = ["strace", "-f", "-y", "-qq", "-o", str(trace), "-e", "trace=write,fsync,rename"]
        strace += [word for call, fault in faults.items() for word in ("-e", f"inject={call}:error={fault}")]
        scene.killed_after(args.longest + 12, *strace, *(word for path in paths for word in ("-P", str(path))))
        scene.unflushed |= unflushed(trace.read_text().splitlines())
    scene.run_empty()
    return scene.close(folder_copies(folder / "kept"))


def unflushed(trace: Sequence[str]) -> set[str]:
    """Names of the files that were given one and whose folder's flush, which has to follow, then failed."""
    failed, named = set(), []
    for line in trace:
        if (match := re.search(r'rename\(.*/(\d{8}T\d{4})/([^/"]+\.jpg)"\) += 0$', line)) is not None:
            named.append(match.groups())
        elif (match := re.search(r"fsync\(\d+<.*/(\d{8}T\d{4})>\) += (-?\d+)", line)) is not None:
            failed |= {name for minute, name in named if minute == match[1] and match[2] != "0"}
            named = [(minute, name) for minute, name in named if minute != match[1]]
    return failed


def full(folder: Path, zoo: int, args: argparse.Namespace) -> Account:
    """A tmpfs of 12 MiB for the whole state folder, the ledger included."""
    (folder / "state").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", folder / "state"], check=True)
    try:
        with in_bucket(folder, zoo) as (scene, weed):
            for policy in ("newest", "oldest"):
                scene.killed_after(args.longest + 2, CCTV_SPOOL_FULL=policy)
                weed.kill9()
                scene.killed_after(args.longest + 10, CCTV_SPOOL_FULL=policy)
                scene.killed_after(args.longest + 10, CCTV_SPOOL_FULL=policy)
                weed.start()
            scene.run_empty()
            return scene.close(asyncio.run(bucket_copies(weed, "kept")))
    finally:
        subprocess.run(["umount", "--lazy", folder / "state"], check=True)


def outage(folder: Path, zoo: int, args: argparse.Namespace) -> Account:
    with in_bucket(folder, zoo) as (scene, weed):
        with scene.daemon():
            for _ in range(3):
                time.sleep(args.longest + 2)
                weed.kill9()
                time.sleep(8)
                weed.start()
            time.sleep(args.longest)
        scene.run_empty()
        return scene.close(asyncio.run(bucket_copies(weed, "kept")))


def clock(folder: Path, zoo: int, args: argparse.Namespace) -> Account:
    """The same seconds come again when the clock is set back."""
    scene, step = Scene(folder, zoo, f"file://{folder}/kept", {}), folder / "step"
    fake = {"LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": str(step), "FAKETIME_CACHE_DURATION": "1"}
    step.write_text("+0")
    for _ in range(2):
        with scene.daemon(**fake, FAKETIME_DONT_FAKE_MONOTONIC="1"):
            for seconds in ("+0", "+3600", "+0", "-3", "-86400", "+86400", "+0"):
                step.write_text(seconds)
                time.sleep(4)
        scene.account.kills += 1
    scene.run_empty()
    return scene.close(folder_copies(folder / "kept"))


SCENES = {scene.__name__: scene for scene in (bucket, folder, errors, full, outage, clock)}


def shown(name: str, account: Account) -> str:
    def listed(counts: Counter[str]) -> str:
        return ", ".join(f"{reason} {count}" for reason, count in sorted(counts.items())) or "0"

    lines = [
        f"{name}: {account.kills} kills; {account.accepted} accepted = {account.archived} archived + {account.spooled} "
        f"spooled + {account.lost.total()} lost in the ledger ({listed(account.lost)})"
    ]
    lines += [f"  not accepted, in the ledger: {listed(account.refused - account.lost)}"] if account.refused else []
    lines += [f"  taken back before they were accepted: {account.taken_back}"] if account.taken_back else []
    for what, found in (("missing", account.missing), ("doubled", account.doubled), ("damaged", account.damaged)):
        lines += [f"  {what}: {len(found)}, e.g. {found[0]}"] if found else []
    lines += [f"  accepted by the ledger and nowhere: {account.unsettled}"] if account.unsettled else []
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=200, help="of bucket and folder together")
    parser.add_argument(
        "--longest", type=float, default=4.0, help="seconds at most that a daemon lives before its kill"
    )
    parser.add_argument("--cameras", type=int, default=30)
    parser.add_argument("--only", default=",".join(SCENES), help="scenes, separated by commas")
    parser.add_argument("--keep", type=Path, help="folder for what is left to look at")
    args = parser.parse_args()
    stage.raise_file_limit()
    accounts = []
    for name in args.only.split(","):
        place = Path(tempfile.mkdtemp(prefix=f"crash-{name}-", dir=args.keep))
        with stage.helper("cameras.py", str(args.cameras), "--plain") as zoo:
            accounts.append(SCENES[name](place, zoo, args))
        print(shown(name, accounts[-1]), flush=True)
        if not args.keep:
            shutil.rmtree(place, ignore_errors=True)
    total = sum(account.kills for account in accounts)
    lost = sum(len(account.missing) for account in accounts)
    print(f"in all {total} kills, {sum(a.accepted for a in accounts)} accepted, {lost} lost in silence")
    return 0 if all(account.good for account in accounts) else 1


if __name__ == "__main__":
    sys.exit(main())
