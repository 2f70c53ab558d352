"""The `simulate` command: the zoo alone, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

from cctv_images.errors import EX_BAD, EX_OK, ConfigError
from cctv_images.simulate.fleet import MAX_CAMERAS, SimulatedCamera, everything, fleet
from cctv_images.simulate.listed import ListedFleet, listed_fleet
from cctv_images.simulate.pictures import LivingPictures, Pictures, StaticPictures
from cctv_images.simulate.server import Zoo

_FEW_STREETS = 24
"""Beyond 200 cameras, so many scenes are shared by all."""


async def simulate(
    *,
    say: Callable[[str], None],
    cameras: int | None = None,
    inventory: Path | None = None,
    output: Path | None = None,
    port: int = 0,
    sick_share: float = 0.2,
    static: bool = False,
) -> int:
    """Plays cameras until SIGINT or SIGTERM; gives the exit code.

    Without an inventory: `cameras` of them over all makes, or each make and each fault once. With one: its enabled
    cameras, and with `output` the list is written there with addresses and credentials. port: 0 = a free one.
    sick_share: how many of 1 cost their picture; 0 = all are healthy. static: one prepared picture for all, for
    benchmarks. say: takes one line for the terminal.
    Raises ConfigError when the inventory cannot be read, or the port or the output is not to be had.
    """
    listed = _read(inventory, sick_share) if inventory is not None else None
    animals = listed.cameras if listed is not None else _made(cameras, sick_share)
    zoo = Zoo(animals, port=port, pictures=_pictures(len(animals), static))
    try:
        await zoo.start()
    except OSError as error:
        await zoo.close()
        raise ConfigError(f"Port {port} cannot be opened on the loopback: {error.strerror}.") from None
    stop = asyncio.Event()
    with _stopped_by_signals(stop):
        try:
            _introduce(zoo, listed, output, say)
            await stop.wait()
        finally:
            await zoo.close()
    return EX_OK if animals else EX_BAD


def _made(cameras: int | None, sick_share: float) -> list[SimulatedCamera]:
    if cameras is not None and not 0 < cameras <= MAX_CAMERAS:
        raise ConfigError(f"{cameras} cameras cannot be played: 1 to {MAX_CAMERAS} can.")
    if cameras is not None:
        return fleet(cameras, sick_share=sick_share)
    return everything(faults=sick_share > 0)


def _pictures(cameras: int, static: bool) -> Pictures:
    if static:
        return StaticPictures(unique=True)
    return LivingPictures() if cameras <= 200 else LivingPictures(shared=_FEW_STREETS)


def _read(inventory: Path, sick_share: float) -> ListedFleet:
    try:
        data = inventory.read_bytes()
    except OSError as error:
        raise ConfigError(f"{inventory} cannot be read: {error.strerror}.") from None
    return listed_fleet(data, str(inventory), sick_share=sick_share)


def _introduce(zoo: Zoo, listed: ListedFleet | None, output: Path | None, say: Callable[[str], None]) -> None:
    desk = f"http://127.0.0.1:{zoo.port}/zoo"
    say(f"{len(zoo.residents)} cameras answer on the loopback, port {zoo.port}, each at its own address.")
    for row in listed.rejected if listed is not None else ():
        say(f"Not played: {row}.")
    source = f"{desk}/inventory.csv"
    if output is not None:
        source = str(output)
        _write(output, listed.written(zoo) if listed is not None else zoo.inventory_csv())
        say(f"{output} is the inventory, with {len(zoo.residents)} addresses.")
    say("")
    say("Publish them into a folder:")
    say(f"  CCTV_INVENTORY={shlex.quote(source)} \\")
    if zoo.credentials():
        say(f'  CCTV_CREDENTIALS="$(curl -s {desk}/credentials.json)" \\')
    say("  CCTV_STORE=file:///tmp/pictures CCTV_INTERVAL=30 CCTV_TIMEOUT=5 cctv-images run")
    say("")
    say(f"Counters: {desk}/stats   Change a fault: curl -X POST '{desk}/fault?camera=ID&fault=NAME'   End: Ctrl-C")


def _write(output: Path, text: str) -> None:
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{output} cannot be written: {error.strerror}.") from None


@contextlib.contextmanager
def _stopped_by_signals(stop: asyncio.Event) -> Iterator[None]:
    loop, signals = asyncio.get_running_loop(), (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
