"""Whether every camera of every make, well or sick, comes out as what it is, for as long as one likes.

    python benchmarks/zoo.py [--cameras 1000] [--sick 0.3] [--minutes 10] [--interval 60]

`cctv-images simulate` plays the cameras, every persona and every fault among them; `cctv-images run` publishes into a
folder. Each half minute the page's list is held against what each fault means: a picture, or its error_state. Faults
that come and go are counted and not judged. Prints a table; exits 1 when a camera was taken for something else, a slot
was missed, or a device saw more than two refused logins in an hour.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import stage

from cctv_images.simulate.faults import FAULTS, IN_TIME, Fault

LOOK_EVERY_S = 30.0


def settings(folder: Path, port: int, interval: float) -> dict[str, str]:
    return {
        "CCTV_INVENTORY": str(folder / "cameras.csv"),
        "CCTV_CREDENTIALS": stage.get(port, "/zoo/credentials.json").decode(),
        "CCTV_STORE": f"file://{folder}/store",
        "CCTV_INTERVAL": f"{interval:g}",
        "CCTV_STARTUP_SPREAD": f"{interval:g}",
        "CCTV_TIMEOUT": "8",
        "CCTV_ATTEMPTS": "2",
        "CCTV_FAILURE_LIMIT": "0",
        "CCTV_LISTEN": f"127.0.0.1:{stage.free_port()}",
    }


def judged(cameras: list[dict[str, Any]], faults: dict[str, Fault]) -> list[str]:
    """Cameras that were taken for something else than they are."""
    wrong = []
    for camera in cameras:
        fault = faults[camera["id"]]
        if fault not in IN_TIME and camera["health"] != "new" and camera["error_state"] != FAULTS[fault].expects:
            wrong.append(f"{camera['model']} {fault}: {camera['error_state']} ({camera['detail']})")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cameras", type=int, default=1000)
    parser.add_argument("--sick", type=float, default=0.3)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--interval", type=float, default=60)
    args = parser.parse_args()
    stage.raise_file_limit()
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), stage.free_port()
        words = ["--cameras", str(args.cameras), "--sick", str(args.sick), "--port", str(port), "--static"]
        play = ("-m", "cctv_images", "simulate", *words, "-o", str(folder / "cameras.csv"))
        (folder / "zoo").mkdir()
        with stage.subject(folder / "zoo", *play):
            while not (folder / "cameras.csv").exists():
                time.sleep(0.1)
            time.sleep(2)
            chosen = settings(folder, port, args.interval)
            with stage.service(folder, chosen) as pid:
                return watch(pid, port, int(chosen["CCTV_LISTEN"].rpartition(":")[2]), args.minutes * 60)


def watch(pid: int, zoo: int, page: int, seconds: float) -> int:
    begin, wrong, peak = time.monotonic(), Counter[str](), 0.0
    while time.monotonic() < begin + seconds:
        time.sleep(LOOK_EVERY_S)
        stats = json.loads(stage.get(zoo, "/zoo/stats"))
        faults = {camera_id: Fault(facts["fault"]) for camera_id, facts in stats.items()}
        cameras = json.loads(stage.get(page, "/api/cameras", 60))["cameras"]
        wrong.update(judged(cameras, faults))
        peak = max(peak, stage.memory(pid).rss)
    well = [c for c in cameras if FAULTS[faults[c["id"]]].expects is None and faults[c["id"]] not in IN_TIME]
    times = sorted(cycle["seconds"] for c in well for cycle in c["last_cycles"] if cycle["error_state"] is None)
    skipped = stage.get(page, "/metrics").decode().partition("\ncctv_images_slots_skipped_total ")[2].split()[0]
    refused = max(facts["refused"] for facts in stats.values())
    sick = len(cameras) - len(well)
    print(f"cameras             {len(cameras)}, {sick} of them sick or fickle, for {seconds / 60:g} min")
    print(f"taken for others    {len(wrong)}")
    print(f"slots missed        {skipped}")
    print(f"cycle, well         p50 {times[len(times) // 2]:.3f} s, p99 {times[int(len(times) * 0.99)]:.3f} s")
    print(f"refused logins      at most {refused} at one camera")
    print(f"memory              {peak:.0f} MiB at most")
    for line, count in wrong.most_common(20):
        print(f"  {count:3} x {line}")
    return 1 if wrong or skipped != "0" or refused > 2 else 0


if __name__ == "__main__":
    sys.exit(main())
