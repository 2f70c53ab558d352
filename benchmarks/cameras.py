"""Simulated cameras for benchmarks: prepared JPEGs of 100 KB, 1280×720, a view per camera, each answer of its own.

    python benchmarks/cameras.py COUNT [--hostile N] [--plain]

Prints the port they answer on; GET http://127.0.0.1:PORT/zoo/inventory.csv and credentials.json are what to ask them
with. MAKES take part: still by one request, with no login, Basic or Digest (zoo.py plays the odd ones). --plain: no
logins at all. --hostile: so many of them show a fault of FAULTS. Ends at SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
from concurrent.futures import ThreadPoolExecutor

import uvloop

from cctv_images.simulate.faults import Fault
from cctv_images.simulate.fleet import SimulatedCamera, resident, spread
from cctv_images.simulate.persona import personas
from cctv_images.simulate.pictures import StaticPictures
from cctv_images.simulate.server import Zoo

MAKES = (
    *("pelco-open", "pelco-spectra", "advidia-basic", "hik-modern", "wisenet", "axis-new", "bosch", "cohu", "vivotek"),
    *("panasonic", "sony", "mobotix", "generic"),
)
LOGINS = (Fault.WRONG_PASSWORD, Fault.LOCKED, Fault.FORBIDDEN)
FAULTS = (
    *(Fault.DRIP, Fault.DRIP_BODY, Fault.SILENT, Fault.STALLED, Fault.CONNECT_TIMEOUT),
    *(Fault.ENDLESS, Fault.ENDLESS_HEADERS, Fault.ENDLESS_CONTINUE, Fault.TOO_LARGE, Fault.GZIP_BOMB),
    *(Fault.GARBAGE, Fault.CHUNK_GARBAGE, Fault.HUGE_PIXELS, Fault.PNG_BOMB, Fault.FORGED_END),
    *(Fault.RESET, Fault.RESET_IN_BODY, Fault.HANG_UP, Fault.CUT, Fault.REDIRECT_LOOP, Fault.BUSY),
    *LOGINS,
)


def fleet(count: int, hostile: int, *, plain: bool) -> list[SimulatedCamera]:
    makes = [p for p in personas() if p.name in (("generic",) if plain else MAKES)]
    asking = itertools.cycle([p for p in makes if p.login is not None] or makes)
    faults = spread(FAULTS, count, hostile / count)
    chosen = zip(itertools.cycle(makes), faults, range(count), strict=False)
    return [resident(i, next(asking) if fault in LOGINS else make, fault) for make, fault, i in chosen]


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int)
    parser.add_argument("--hostile", type=int, default=0)
    parser.add_argument("--plain", action="store_true")
    args = parser.parse_args()
    cameras = fleet(args.count, args.hostile, plain=args.plain)
    pictures = StaticPictures(unique=True)
    with ThreadPoolExecutor(2) as pool:  # before the clock runs: the first of each takes a hundred times as long
        list(pool.map(pictures.get, cameras))
    async with Zoo(cameras, pictures=pictures) as zoo:
        print(zoo.port, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    sys.exit(uvloop.run(main()))
