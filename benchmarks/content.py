"""How often the content checks cry wolf, and whether they bark: on days of simulated streets, and on what is no view.

    python benchmarks/content.py [--streets N]

First: days of 288 pictures in every weather, each picture with its own noise, compressed, with name and clock in it.
Every mark that is raised there is false. Then: faults, played to a camera that was well before. A fault counts as seen
when its mark is up after ten pictures. Exits 1 when a mark was false or more than one in fifty faults that can be told
went unseen. Four streets take some five minutes on two cores.
"""

from __future__ import annotations

import argparse
import functools
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO

from PIL import Image

from cctv_images.likeness import Likenesses
from cctv_images.process.content import PLAIN, Look, look_at, reduced
from cctv_images.process.verify import Costly, glance
from cctv_images.simulate import screens
from cctv_images.simulate.day import WEATHERS, Day
from cctv_images.simulate.pictures import encoded
from cctv_images.simulate.scene import write_caption
from cctv_images.suspicion import Reason, Suspect, Suspicion

MIDNIGHT = 20_000 * 86_400.0
CYCLE_S = 300.0
PLACE = (51.5, 0.0)
HOURS, NIGHT = (3.0, 8.0, 13.0, 19.0), (3.0, 19.0)
PICTURES = 10
FROZEN_AFTER = 6
UNSEEN_AT_MOST = 0.02


day_of = functools.cache(Day)


class Fleet:
    """Cameras whose pictures are judged as the service does it."""

    def __init__(self) -> None:
        self.likenesses = Likenesses()
        self.suspicions: dict[str, Suspicion] = {}

    def take(self, camera_id: str, jpeg: bytes, now: float) -> tuple[Look, Suspect | None]:
        seen = glance(jpeg, 50_000_000)
        look = (seen.finish() if isinstance(seen, Costly) else seen).look
        assert look is not None
        suspicion = self.suspicions.setdefault(camera_id, Suspicion(FROZEN_AFTER, PLACE))
        twin, alike = self.likenesses.compare(camera_id, look.scene, now, 2.5 * CYCLE_S)
        return look, suspicion.judge(look, now, twin, alike)


@dataclass
class Quiet:
    """What was seen of days on which nothing was wrong."""

    pictures: int = 0
    plainest: float = 0.0
    marked: Counter[str] = field(default_factory=Counter)
    """Pictures published under a mark, by reason."""


def quiet_days(weather: str, streets: int) -> Quiet:
    fleet, seen = Fleet(), Quiet()
    days = [Day(number, weather, quality=(75, 90, 50, 75)[number % 4]) for number in range(streets)]
    for cycle in range(288):
        for number, day in enumerate(days):
            now = MIDNIGHT + cycle * CYCLE_S + number * 11
            jpeg = day.picture(now)
            look, mark = fleet.take(str(number), jpeg, now)
            seen.pictures += 1
            seen.plainest = max(seen.plainest, look.plain)
            if mark:
                seen.marked[mark.reason] += 1
    return seen


SCREENS: dict[str, Callable[[], Image.Image]] = {
    "black": partial(screens.colour, (0, 0, 0)),
    "white": partial(screens.colour, (255, 255, 255)),
    "blue": partial(screens.colour, (0, 0, 168)),
    "grey": partial(screens.colour, (128, 128, 128)),
    "bars (EBU)": screens.bars,
    "bars (SMPTE)": screens.smpte,
    "NO SIGNAL on blue": screens.no_signal,
    "VIDEO LOSS on black": partial(screens.no_signal, "VIDEO LOSS", (0, 0, 0), 140),
    "two lines on grey": partial(screens.no_signal, "No video signal\nKein Videosignal", (90, 90, 90), 110, 0.4),
    "snow": partial(screens.snow, random.Random(1)),
}


def detected(reason: Reason, weather: str, hour: float, fault: Fault) -> int | None:
    """After how many pictures of the fault its mark is up. fault(day, its beginning, now) -> JPEG."""
    fleet, day, begin = Fleet(), day_of(7, weather), MIDNIGHT + hour * 3600
    others = [day_of(number, weather) for number in range(8, 14)] if reason is Reason.DUPLICATE else []
    for cycle in range(-2, PICTURES):
        now = begin + cycle * CYCLE_S
        for other in others:
            fleet.take(str(other.number), other.picture(now), now)
        if cycle < 0:
            fleet.take("sick", day.picture(now), now)
            continue
        if reason is Reason.DUPLICATE:
            fleet.take("twin", day.picture(now - 140, "Another name"), now - 140)
        _, mark = fleet.take("sick", fault(day, begin, now), now)
        if mark and mark.reason is reason:
            return cycle + 1
    return None


Fault = Callable[[Day, float, float], bytes]


def faults() -> Iterator[tuple[str, Reason, str, float, Fault]]:
    """Name, expected mark, weather, hour. With a star: what nobody can tell from a view in the dark or in a fog."""
    for kind in SCREENS:
        for hour in HOURS:
            for quality, caption in ((40, True), (75, False), (75, True), (90, True)):
                name = "black with a caption, night *" if kind == "black" and caption and hour in NIGHT else kind
                yield name, Reason.BLANK, "clear", hour, partial(_screen, kind, quality, caption)
    for weather in WEATHERS:
        for hour in HOURS:
            when = f"{weather}, {'night' if hour in NIGHT else 'day'}"
            dark = " *" if weather == "unlit road" and hour in NIGHT else ""
            yield f"stuck: {when}{dark}", Reason.FROZEN, weather, hour, _stuck
            yield f"only its clock goes: {when}{dark}", Reason.FROZEN, weather, hour, _clock_goes
            veiled = dark or (" *" if "fog" in weather else "")
            yield f"two ids: {when}{veiled}", Reason.DUPLICATE, weather, hour, _well


def _screen(kind: str, quality: int, caption: bool, day: Day, begin: float, now: float) -> bytes:
    card = SCREENS[kind]().copy()
    if caption:
        write_caption(card, "Lamar Blvd / 45th St", time.strftime("%H:%M:%S", time.gmtime(now)))
    return encoded(card, quality=quality)


def _stuck(day: Day, begin: float, now: float) -> bytes:
    return day.picture(begin)


def _clock_goes(day: Day, begin: float, now: float) -> bytes:
    return day.picture(begin, clock=now)


def _well(day: Day, begin: float, now: float) -> bytes:
    return day.picture(now)


def try_fault(number: int) -> int | None:
    """Faults are named by number: functions do not travel between processes."""
    _, reason, weather, hour, fault = list(faults())[number]
    return detected(reason, weather, hour, fault)


def print_quiet(results: dict[str, Quiet]) -> int:
    print(f"{'days in which nothing is wrong':34} pictures  plainest  false marks: blank frozen duplicate")
    for weather, seen in results.items():
        counts = "".join(f"{seen.marked[reason]:9}" for reason in Reason)
        print(f"{weather:34} {seen.pictures:8} {seen.plainest:9.2f}        {counts}")
    pictures = sum(seen.pictures for seen in results.values())
    false = sum(seen.marked.total() for seen in results.values())
    print(f"false alarm rate: {false} of {pictures} pictures ({100 * false / pictures:.2f} %); plain from {PLAIN}\n")
    return false


def print_faults(results: dict[str, list[int | None]]) -> float:
    print(f"{'faults':34}   played  seen  after pictures (median, most)")
    for name, after in results.items():
        seen = [count for count in after if count is not None]
        told = f"{statistics.median(seen):.0f}, {max(seen)}" if seen else "-"
        print(f"{name:34} {len(after):8} {len(seen):5}  {told}")
    told = [a for name, after in results.items() if "*" not in name for a in after]
    unseen = sum(a is None for a in told) / len(told)
    print(f"seen: {100 * (1 - unseen):.1f} % of those that can be told at once; * wait until it is light or clear")
    return unseen


def cost_ms() -> tuple[float, float]:
    """CPU of verifying one picture, and of looking at it, which is part of that."""
    jpeg = day_of(1, "clear").picture(MIDNIGHT + 43_200)
    grey, picks = reduced(Image.open(BytesIO(jpeg))), ([], [])
    for _ in range(15):
        for work, seen in zip(
            (lambda: glance(jpeg, 50_000_000), lambda: look_at(grey, lambda: None)), picks, strict=True
        ):
            began = time.process_time()
            for _ in range(50):
                work()
            seen.append((time.process_time() - began) * 20)
    return statistics.median(picks[0]), statistics.median(picks[1])


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--streets", type=int, default=4)
    streets = parser.parse_args().streets
    print("CPU ms of verifying a picture with a look at it: {:.2f}, the look alone: {:.2f}\n".format(*cost_ms()))
    played = list(faults())
    with ProcessPoolExecutor(2) as pool:
        days = dict(zip(WEATHERS, pool.map(quiet_days, WEATHERS, [streets] * len(WEATHERS)), strict=True))
        false = print_quiet(days)
        results: dict[str, list[int | None]] = {}
        for (name, *_), after in zip(played, pool.map(try_fault, range(len(played)), chunksize=4), strict=True):
            results.setdefault(name, []).append(after)
    unseen = print_faults(results)
    return 1 if false or unseen > UNSEEN_AT_MOST else 0


if __name__ == "__main__":
    sys.exit(main())
