"""RTSP: VLC sends by UDP alone and refuses everything else with 461. It refuses root too."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from common import Operator, need, running, until

PORT = 5399


def main() -> None:
    need("cvlc", "ffmpeg", "setpriv")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        source = "testsrc2=size=640x360:rate=10"
        video = ["-t", "300", "-c:v", "libx264", "-g", "20", "-pix_fmt", "yuv420p", "video.mp4"]
        subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, *video], cwd=folder, check=True)
        play = ["cvlc", "-q", "--no-audio", folder / "video.mp4", "--loop", "--sout-keep"]
        play += ["--sout", f"#rtp{{sdp=rtsp://127.0.0.1:{PORT}/cam}}"]
        nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "env", f"HOME={name}"]
        with running(*(nobody if os.geteuid() == 0 else []), *play, cwd=folder):
            operator = Operator(folder)
            until(lambda: operator.probe(f"rtsp://127.0.0.1:{PORT}/cam")["ok"])
            answer = operator.probe(f"rtsp://127.0.0.1:{PORT}/cam")
            assert (answer["width"], answer["height"]) == (640, 360)
            assert any("461" in step["text"] for step in answer["steps"])


if __name__ == "__main__":
    main()
