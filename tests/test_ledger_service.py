"""The whole service with its ledger and archive: killed, restarted, without its store; and then the day adds up."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from program import Program, stop, until
from s3 import free_ports
from zoo import zoo_of

INTERVAL = 2


async def test_after_kills_and_an_outage_every_slot_is_archived_or_has_its_reason(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    cameras = {f"c{n}": ("pelco-open", "none") for n in range(12)} | {"bad": ("pelco-open", "not_found")}
    env = {
        "CCTV_INVENTORY": "cameras.csv",
        "CCTV_STORE": f"file://{tmp_path}/store",
        "CCTV_ARCHIVE": f"file://{tmp_path}/archive",
        "CCTV_STATE_DIR": str(tmp_path),
        "CCTV_INTERVAL": str(INTERVAL),
        "CCTV_TIMEOUT": "0.5",
        "CCTV_ATTEMPTS": "1",
        "CCTV_FAILURE_LIMIT": "2",
        "CCTV_LISTEN": f"127.0.0.1:{port}",
        "CCTV_LOG_FILE": str(tmp_path / "log"),
    }
    program = Program(tmp_path, env)
    while (at := datetime.now(UTC)).hour == 23 and at.minute >= 58:  # the story is to be within one day
        await asyncio.sleep(1)
    async with zoo_of(cameras, unique=True) as zoo:
        (tmp_path / "cameras.csv").write_text(zoo.inventory_csv())
        for pause in (4, 2):
            async with program.running("run") as daemon:
                await asyncio.sleep(pause)
                daemon.kill()
                await daemon.wait()
            await asyncio.sleep(pause)
        async with program.running("run") as daemon:
            await until(lambda: slots(tmp_path, "reason = 'service_down'"))
            (tmp_path / "store").rename(tmp_path / "away")
            await until(lambda: slots(tmp_path, "captured AND NOT published AND kept = 4"))
            (tmp_path / "away").rename(tmp_path / "store")
            await asyncio.sleep(2)
            assert await stop(daemon) == 0
    shown = await program("ledger", "--date", "today", "--json")
    assert shown.code == 0
    (day,) = json.loads(shown.out)["days"]
    of = {camera["camera_id"]: camera for camera in day["cameras"]}
    assert of.keys() == cameras.keys()
    assert of["bad"]["captured"] == 0
    assert of["bad"]["reasons"]["not_found"] >= 2
    assert of["bad"]["reasons"]["service_down"] >= 2
    assert all(of[f"c{n}"]["archived"] >= 1 for n in range(12))
    verified = await program("ledger", "verify", "--date", "today", "--json")
    account = json.loads(verified.out)
    assert (verified.code, account["ok"]) == (0, True), account
    total = account["total"]
    assert total["expected"] == total["archived"] + sum(total["reasons"].values()) == day["total"]["expected"]
    copies = len([*(tmp_path / "archive").rglob("*Z*.jpg")])
    assert total["archived"] + total["further"] == copies
    distances = slots(tmp_path, "camera = 1", "slot")
    assert {b - a for (a,), (b,) in pairwise(distances)} == {INTERVAL}


def slots(folder: Path, condition: str, column: str = "1") -> list[tuple[int]]:
    path = folder / "ledger.sqlite"
    if not path.exists():
        return []
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        try:
            return db.execute(f"SELECT {column} FROM slot WHERE {condition} ORDER BY slot").fetchall()
        except sqlite3.OperationalError:
            return []
