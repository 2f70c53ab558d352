"""ONVIF: ipycam is asked by us, and onvif-zeep-async asks our simulated devices."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from common import Operator, environment, need, offers, running, until

NAMESPACE = "cctv-peer"
CAMERA = {
    "local_ip": "127.0.0.1", "onvif_port": 8080, "rtsp_port": 8554, "username": "admin", "password": "p@ss",
    "main_width": 1280, "main_height": 720, "main_fps": 10, "sub_fps": 10, "hw_accel": "cpu",
}  # fmt: skip

ASK = """
import asyncio, sys
from onvif import ONVIFCamera
async def ask(address, user, password):
    host, port = address.rsplit(":", 1)
    camera = ONVIFCamera(host, int(port), user, password, adjust_time=True)
    try:
        await camera.update_xaddrs()
        media = await camera.create_media_service()
        tokens = [profile.token for profile in await media.GetProfiles()]
        print((await media.GetSnapshotUri({"ProfileToken": tokens[0]})).Uri.strip())
    finally:
        await camera.close()
asyncio.run(ask(*sys.argv[1:]))
"""


@contextlib.contextmanager
def network() -> Iterator[list[str]]:
    """A network of its own, because ipycam takes all addresses and joins a multicast group."""
    ip = ["ip", "-n", NAMESPACE]
    subprocess.run(["ip", "netns", "del", NAMESPACE], capture_output=True)
    subprocess.run(["ip", "netns", "add", NAMESPACE], check=True)
    try:
        subprocess.run([*ip, "link", "set", "lo", "up"], check=True)
        subprocess.run([*ip, "link", "set", "lo", "multicast", "on"], check=True)
        subprocess.run([*ip, "route", "add", "224.0.0.0/4", "dev", "lo"], check=True)
        yield ["ip", "netns", "exec", NAMESPACE]
    finally:
        subprocess.run(["ip", "netns", "del", NAMESPACE], check=True)


def ipycam(folder: Path, bin: Path) -> None:
    source = "testsrc2=size=1280x720:rate=10"
    video = ["-t", "20", "-c:v", "libx264", "-g", "20", "-pix_fmt", "yuv420p", "video.mp4"]
    subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, *video], cwd=folder, check=True)
    (folder / "camera.json").write_text(json.dumps(CAMERA))
    with (
        network() as inside,
        running(*inside, bin / "ipycam", "--config", "camera.json", "--source", "video.mp4", cwd=folder),
    ):
        wrong = Operator(folder, username="admin", password="wrong", before=inside)
        right = Operator(folder, username="admin", password="p@ss", before=inside)
        until(lambda: right.probe("127.0.0.1:8080", "ONVIF")["ok"], 60)
        refused = [wrong.probe("127.0.0.1:8080", "ONVIF") for _ in range(4)]
        assert {answer["error_state"] for answer in refused} == {"auth"}
        assert sum(offers(answer) for answer in refused) == 2
        still = right.probe("127.0.0.1:8080", "ONVIF")
        assert (still["width"], still["height"]) == (1280, 720)
        assert "p@ss" not in json.dumps(still)
        for stream in ("video_main", "video_sub"):
            until(lambda stream=stream: right.probe(f"rtsp://127.0.0.1:8554/{stream}")["ok"])


def zeep(folder: Path, bin: Path) -> None:
    """Two devices that name addresses which can be reached; the library has no words for media2."""
    with running(sys.executable, "-m", "cctv_images", "simulate", "--sick", "0", "-o", folder / "zoo.csv"):
        until(lambda: (folder / "zoo.csv").exists() and (folder / "zoo.csv").read_text().endswith("\n"))
        with (folder / "zoo.csv").open() as listed:
            rows = [row for row in csv.DictReader(listed) if row["credentials"].startswith(("onvif-ok", "onvif-rtsp"))]
        assert rows
        port = rows[0]["address"].rpartition(":")[2]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/zoo/credentials.json") as answer:
            accounts = json.load(answer)
        for row in rows:
            account = accounts[row["credentials"]]
            words = [bin / "python", "-I", "-c", ASK, row["address"], account["username"], account["password"]]
            done = subprocess.run(words, capture_output=True, text=True)
            print(f"      {row['credentials']}: {done.stdout.strip() or done.stderr[-300:]}")
            assert "://" in done.stdout


def main() -> None:
    need("ip", "ffmpeg")
    if os.geteuid() != 0:
        print("      needs root for a network namespace")
        sys.exit(77)
    bin = environment("onvif", "ipycam==1.3.0", "onvif-zeep-async==4.3.0")
    with tempfile.TemporaryDirectory() as name:
        ipycam(Path(name), bin)
        zeep(Path(name), bin)


if __name__ == "__main__":
    main()
