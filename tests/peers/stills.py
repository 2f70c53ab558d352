"""Stills and MJPEG: motion (Digest, from a video file), ustreamer (Basic, no device needed) and ffmpeg's mpjpeg."""

from __future__ import annotations

import subprocess
import tempfile
from functools import partial
from pathlib import Path

from common import Operator, need, offers, running, until

MOTION = "127.0.0.1:5321"
USTREAMER, FFMPEG = ("127.0.0.2", "5320"), "127.0.0.3:5313"
"""Each an address of its own: a device that has asked for Digest once is never given Basic."""
CONF = """daemon off
netcam_url file://{video}
width 640
height 360
stream_port 5321
stream_localhost on
stream_auth_method 2
stream_authentication admin:right
webcontrol_port 0
picture_output off
movie_output off
target_dir {folder}
"""


def shows(operator: Operator, address: str) -> bool:
    return bool(operator.probe(address)["ok"])


def motion(folder: Path, video: Path) -> None:
    (folder / "motion.conf").write_text(CONF.format(video=video, folder=folder))
    operator = Operator(folder, username="admin", password="right")
    with running("motion", "-n", "-c", "motion.conf", cwd=folder):
        for path in ("0/current", "0"):
            address = f"http://{MOTION}/{path}"
            until(partial(shows, operator, address))
            answer = operator.probe(address)
            assert (answer["width"], answer["height"], offers(answer)) == (640, 360, 1), answer
        wrong = Operator(folder, username="admin", password="wrong").probe(f"http://{MOTION}/0/current")
        assert wrong["error_state"] == "auth", wrong


def ustreamer(folder: Path) -> None:
    server = ["ustreamer", "--host", USTREAMER[0], "--port", USTREAMER[1], "--user", "admin", "--passwd", "right"]
    operator = Operator(folder, username="admin", password="right")
    with running(*server, cwd=folder):
        for path in ("snapshot", "stream"):
            until(partial(shows, operator, f"http://{':'.join(USTREAMER)}/{path}"))


def ffmpeg(folder: Path, video: Path) -> None:
    """It serves one client and ends; by itself it names no boundary and calls its stream octets."""
    address = f"http://{FFMPEG}/cam.mjpg"
    operator = Operator(folder)
    for kind in ("application/octet-stream", "multipart/x-mixed-replace;boundary=ffmpeg"):
        listen = ["-f", "mpjpeg", "-content_type", kind, "-listen", "1", address]
        with running("ffmpeg", "-re", "-i", video, *listen, cwd=folder):
            until(partial(shows, operator, address))


def main() -> None:
    need("motion", "ustreamer", "ffmpeg")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        video = folder / "video.mp4"
        made = ["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=10", "-t", "60", "-pix_fmt", "yuv420p", video]
        subprocess.run(["ffmpeg", "-v", "error", *made], check=True)
        motion(folder, video)
        ustreamer(folder)
        ffmpeg(folder, video)


if __name__ == "__main__":
    main()
