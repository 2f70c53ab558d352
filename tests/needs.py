"""Tests that need a program from the distribution say so; CI installs them all and accepts no skip."""

from __future__ import annotations

import os
import shutil

import pytest


def needs(*programs: str) -> pytest.MarkDecorator:
    """Skips where a program is missing, unless TESTS_NEED_ALL is set: then the test runs, and fails."""
    missing = [p for p in programs if shutil.which(p, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") is None]
    absent = bool(missing) and not os.environ.get("TESTS_NEED_ALL")
    return pytest.mark.skipif(absent, reason=f"needs {', '.join(missing)}")
