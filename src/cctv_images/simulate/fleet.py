"""Who lives in the zoo: fleets of simulated cameras, each at its own 127/8 address."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from cctv_images.acquire.recipes import RECIPES
from cctv_images.inventory.camera import Camera
from cctv_images.simulate.faults import FAULTS, IN_TIME, SICK, TOLERATED, Fault
from cctv_images.simulate.persona import Persona, of_recipe, personas

MAX_CAMERAS = 16_000_000
_AUSTIN = (30.27, -97.74)
_STREETS = (
    "Congress Ave", "Lamar Blvd", "Guadalupe St", "Riverside Dr", "Burnet Rd", "Oltorf St", "Airport Blvd",
    "Red River St", "Barton Springs Rd", "Manor Rd", "Slaughter Ln", "Parmer Ln", "Koenig Ln", "Anderson Ln",
    "Cesar Chavez St", "45th St", "William Cannon Dr", "Braker Ln",
)  # fmt: skip
_OTHERWISE_MEANT = (
    *(Fault.NO_CHALLENGE, Fault.MOVED, Fault.LOGIN_PAGE, Fault.HTML_AS_JPEG, Fault.EMPTY, Fault.NO_CONTENT),
    *(Fault.REDIRECTED, Fault.REDIRECTED_METADATA, Fault.REDIRECTED_SCHEME, Fault.REDIRECT_LOOP),
)
"""Faults that mean something else on makes with a login of their own: it follows no redirect, and what is no picture is
a refusal."""
_ODD_PASSWORDS = ('zoo-p@ss:w"rd', "zoo-50%&more=/?#", "zoo back\\slash", "zoo-pässwörd")


@dataclass(frozen=True, slots=True)
class Account:
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SimulatedCamera:
    """One animal. Where it answers (with the port) is known by the zoo that plays it: `Zoo.address`."""

    camera_id: str
    host: str
    """Its own address, 127.x.y.z."""
    persona: Persona
    fault: Fault = Fault.NONE
    name: str = ""
    latitude: float = _AUSTIN[0]
    longitude: float = _AUSTIN[1]
    credentials: str | None = None
    """Name in CCTV_CREDENTIALS; None where no login is wanted."""
    account: Account | None = None

    path: str | None = None
    """Path in its address, for recipes that have none of their own."""
    targets: frozenset[str] = frozenset()
    """Paths with their queries that it answers, as they are sent."""

    @property
    def template(self) -> str:
        """The target with places for a login, where the make wants it there."""
        return next((target for target in self.targets if "{password}" in target), "")

    def has_path(self, target: str) -> bool:
        return target.partition("?")[0] in {known.partition("?")[0] for known in self.targets}

    def seen(self, target: str) -> str:
        """What a logged-in request asks for: its target without what the login has added to it."""
        if self.persona.sessions is not None:
            return re.sub(r"&(?:token|user|password)=[^&]*", "", target)
        return self.template if self.template and self.has_path(target) else target

    @property
    def model(self) -> str:
        return self.persona.model or self.persona.recipe


def host(number: int) -> str:
    """The 127/8 address of the number-th camera, from 127.1.0.1 on; the last part is never 0 or 255."""
    return f"127.{1 + number // (254 * 256)}.{number // 254 % 256}.{number % 254 + 1}"


def fleet(n: int, *, sick_share: float = 0.2, seed: int = 1, tolerated_share: float = 0.3) -> list[SimulatedCamera]:
    """n cameras over all recipes. sick_share of them cost their picture: the first sick ones show every error_state,
    then every fault; of the healthy ones tolerated_share have a defect that must not cost it."""
    rng = random.Random(seed)
    faults = spread((*SICK, *IN_TIME), n, sick_share, seed)
    healthy = iter(spread(TOLERATED, faults.count(Fault.NONE), tolerated_share, seed))
    faults = [next(healthy) if fault is Fault.NONE else fault for fault in faults]
    makes = itertools.cycle(personas())
    return [resident(i, _suited(next(makes), fault), fault, rng=rng) for i, fault in enumerate(faults)]


def spread(faults: Sequence[Fault], n: int, share: float, seed: int = 1) -> list[Fault]:
    """n times a fault or none: `share` of them faults, in their order from the first on, in places of chance."""
    number = round(n * share)
    chosen = [*itertools.islice(itertools.cycle(faults), number), *[Fault.NONE] * (n - number)]
    random.Random(seed).shuffle(chosen)
    return chosen


def everything(*, faults: bool = True) -> list[SimulatedCamera]:
    """Each persona once in good health, and each fault once on a make that shows it."""
    makes = itertools.cycle(personas())
    sick = [(_suited(next(makes), fault), fault) for fault in (*SICK, *TOLERATED, *IN_TIME) if faults]
    healthy = [(persona, Fault.NONE) for persona in personas()]
    return [resident(i, persona, fault) for i, (persona, fault) in enumerate([*healthy, *sick])]


def resident(
    number: int,
    persona: Persona,
    fault: Fault = Fault.NONE,
    *,
    camera_id: str | None = None,
    rng: random.Random | None = None,
) -> SimulatedCamera:
    """The number-th camera of a fleet, with a street corner, a position and, where its make wants one, an account."""
    rng = rng or random.Random(number)
    one, other = rng.sample(_STREETS, 2)
    path = persona.path or RECIPES[persona.recipe].target(Camera("", persona.recipe))
    if persona.onvif is not None:
        path = persona.onvif.still
    camera = SimulatedCamera(
        camera_id or f"zoo-{number + 1:04d}",
        host(number),
        persona,
        fault,
        name=f"{one} / {other}",
        latitude=round(_AUSTIN[0] + rng.uniform(-0.12, 0.12), 6),
        longitude=round(_AUSTIN[1] + rng.uniform(-0.1, 0.1), 6),
        path=persona.path,
        targets=frozenset({path, *persona.also}),
    )
    return with_account(camera, number)


def with_account(camera: SimulatedCamera, number: int) -> SimulatedCamera:
    if camera.persona.login is None:
        return camera
    name, account = _account(camera.persona, number)
    return replace(camera, credentials=name, account=account)


def _account(persona: Persona, number: int) -> tuple[str, Account]:
    """One account a persona, as operators have it; every fifth camera has its own, with a password hard to quote."""
    if number % 5:
        return persona.name, Account(persona.username, f"zoo-{persona.name}")
    odd = number // 5 % len(_ODD_PASSWORDS)
    return f"{persona.name}-{odd}", Account(persona.username, _ODD_PASSWORDS[odd])


def _suited(persona: Persona, fault: Fault) -> Persona:
    """The persona itself, or the nearest one that can show the fault."""
    facts = FAULTS[fault]
    if (persona.rtsp or persona.pause_s) and fault is not Fault.NONE:  # told by HTTP, and in one attempt
        persona = of_recipe(persona.recipe)[0]
    if facts.recipe is not None and persona.recipe != facts.recipe:
        persona = of_recipe(facts.recipe)[0]
    if fault in _OTHERWISE_MEANT and persona.login is not None and not persona.login.challenges:
        return of_recipe("hikvision")[0]
    if facts.login and persona.login is None:
        return next((p for p in of_recipe(persona.recipe) if p.login is not None), of_recipe("hikvision")[0])
    return persona
