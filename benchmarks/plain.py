"""The yardstick of cycle.py: a camera poller written the obvious way, which is also how the predecessor did it.

    python benchmarks/plain.py INVENTORY ENDPOINT INTERVAL

One task per camera that sleeps in between; httpx.AsyncClient gets the picture, aiobotocore's put_object with its
defaults and an Expires puts it. Nothing is verified, retried, limited or proven. Ends at SIGTERM.
"""

from __future__ import annotations

import asyncio
import csv
import sys
import time
from email.utils import formatdate
from pathlib import Path

import httpx
from aiobotocore.session import get_session


async def camera(
    row: dict[str, str], first_s: float, interval_s: float, cameras: httpx.AsyncClient, s3: object
) -> None:
    await asyncio.sleep(first_s)
    while True:
        began = time.monotonic()
        try:
            answer = await cameras.get(row["address"])
            answer.raise_for_status()
            await s3.put_object(
                Bucket="bench",
                Key=f"image/{row['camera_id']}.jpg",
                Body=answer.content,
                ContentType="image/jpeg",
                Expires=formatdate(time.time() + interval_s, usegmt=True),
            )
        except Exception as exc:  # noqa: BLE001 - the obvious way
            print(f"{row['camera_id']}: {exc!r}", file=sys.stderr, flush=True)
        await asyncio.sleep(max(0, interval_s - (time.monotonic() - began)))


async def main(inventory: Path, endpoint: str, interval_s: float) -> None:
    with inventory.open(newline="") as file:
        rows = list(csv.DictReader(file))
    keys = {"aws_access_key_id": "bench", "aws_secret_access_key": "bench", "region_name": "us-east-1"}
    async with (
        httpx.AsyncClient() as cameras,
        get_session().create_client("s3", endpoint_url=endpoint, **keys) as s3,
        asyncio.TaskGroup() as tasks,
    ):
        for number, row in enumerate(rows):
            tasks.create_task(camera(row, number * interval_s / len(rows), interval_s, cameras, s3))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])))
