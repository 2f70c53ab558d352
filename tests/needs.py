"""Tests that need a program from the distribution say so; CI installs them all and accepts no skip for want of one."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def needs(*programs: str) -> pytest.MarkDecorator:
    """Skips where a program is missing, unless TESTS_NEED_ALL is set: then the test runs, and fails."""
    missing = [p for p in programs if shutil.which(p, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") is None]
    absent = bool(missing) and not os.environ.get("TESTS_NEED_ALL")
    return pytest.mark.skipif(absent, reason=f"needs {', '.join(missing)}")


def run_or_skip(*command: str | Path) -> str:
    """What it prints. For what only root may do, and root in a container often may not either: mounting, tracing."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{command[0]} is not possible here: {done.stderr.strip()}")
    return done.stdout.strip()
