"""A video server that nobody here wrote: gst-rtsp-server, in a process of the distribution's own Python."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("gst_rtsp_server.py")
PYTHON = "/usr/bin/python3"
CHECK = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
LOGIN = ("admin", "p@ss")


def needs_gst() -> pytest.MarkDecorator:
    """Skips where gst-rtsp-server is missing, unless TESTS_NEED_ALL is set."""
    there = (
        os.environ.get("TESTS_NEED_ALL")
        or not subprocess.run([PYTHON, "-c", CHECK], capture_output=True, cwd="/").returncode
    )
    return pytest.mark.skipif(not there, reason="needs gir1.2-gst-rtsp-server-1.0 and python3-gi")


@contextlib.contextmanager
def rtsp_server(*options: str) -> Iterator[int]:
    """The port of a running one."""
    with subprocess.Popen(
        [PYTHON, str(PROGRAM), *options], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd="/"
    ) as server:
        try:
            assert server.stdout is not None
            yield int(server.stdout.readline())
        finally:
            server.kill()
