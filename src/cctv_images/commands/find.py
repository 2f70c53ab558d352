"""What is this camera? Makes are tried one after the other, politely, until one of them gives a picture.

One request at a time, without a login first. A login is offered once; only one that the device has accepted is used
further. Nothing here is ever done by the daemon.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from cctv_images.acquire.own_login import LOGIN_PLACE, without_login
from cctv_images.acquire.recipes import RECIPES, Recipe, find_recipe
from cctv_images.commands.asking import Answer, Asker, asker
from cctv_images.errors import ErrorState, plain
from cctv_images.inventory.camera import Camera
from cctv_images.settings import Settings

LAST = "onvif"
FIRST = ("pelco", "hikvision", "wisenet", "axis", "bosch", "cohu", "dahua", "vivotek", "panasonic", "sony")
"""By how often they stand at roads; the others follow in the table's order."""
NOT_TRIED = frozenset(("generic", LAST))

REALMS = {"hikvision": re.compile(r'realm="IP Camera\('), "dahua": re.compile(r'realm="Login to ')}
"""What makes call themselves when they ask for a login (go2rtc pull 2344; axios-digest-auth pull 6)."""

TIMEOUT_S = 10.0
PATIENCE = 2
"""Requests to a port that end in silence before it is left alone."""

_GONE = frozenset((ErrorState.UNREACHABLE, ErrorState.CONNECT_TIMEOUT, ErrorState.TLS, ErrorState.DNS))
_LOGIN_TAKEN = frozenset((ErrorState.NOT_FOUND, ErrorState.NOT_AN_IMAGE))
"""What only a device says that has accepted the login."""
_SILENT = frozenset((ErrorState.TIMEOUT, ErrorState.DISCONNECTED, ErrorState.BAD_RESPONSE))


@dataclass(slots=True)
class Finding:
    """What came of looking for a camera's make."""

    camera: Camera
    recipe: Recipe | None = None
    alike: list[str] = field(default_factory=list)
    """Further recipes that ask in the very same way."""
    with_login: bool = False
    answer: Answer | None = None
    """The picture's, or the last one."""
    tries: list[tuple[str, str]] = field(default_factory=list)
    """(recipe, what came of it), in order."""
    remark: str = ""
    """Why there is no recipe, or what to mind about it."""

    @property
    def model(self) -> str:
        """As an inventory may spell it."""
        if self.recipe is None:
            return ""
        brand = self.recipe.brands[0]
        return brand if find_recipe(brand) is self.recipe else self.recipe.name

    def document(self) -> dict[str, Any]:
        return {
            "recipe": self.recipe.name if self.recipe else None,
            "model": self.model or None,
            "alike": self.alike,
            "with_login": self.with_login,
            "remark": self.remark,
            "tries": [{"recipe": name, "result": result} for name, result in self.tries],
        }


class Finder:
    def __init__(self, bare: Asker, login: Asker) -> None:
        """bare: knows no logins. login: asks as the daemon does."""
        self._bare = bare
        self._login = login

    async def find(self, camera: Camera, *, offer: bool) -> Finding:
        """camera: where to look. offer: whether the row's login may be offered, else the make's or the default."""
        return await _Search(self._bare, self._login, camera, offer).run()


class _Search:
    def __init__(self, bare: Asker, login: Asker, camera: Camera, offer: bool) -> None:
        self._bare = bare
        self._login = login
        self._offer = offer
        self._finding = Finding(camera)
        self._silences: dict[int | None, int] = {}
        self._stranger: tuple[ErrorState, str] | None = None
        """What a path that no make has is answered with."""
        self._realm: str | None = None
        self._wanting: dict[str, bool] = {}
        """Recipes whose path is there, but wants a login, and whether it is asked for in HTTP's own way."""

    async def run(self) -> Finding:
        finding = self._finding
        if await self._answers_everything():
            finding.remark = "it answers every path with a picture: its make cannot be told, and any path will do"
            return finding
        ways = list(_ways(finding.camera))
        for recipe, alike in ways:
            if await self._try(recipe):
                return self._found(recipe, alike)
        if self._offer and (found := await self._logged_in(ways)):
            return self._found(*found)
        if not finding.remark and await self._by_onvif():
            return self._found(RECIPES[LAST], [])
        self._explain()
        return finding

    async def _by_onvif(self) -> bool:
        without = not self._finding.with_login and await self._try(RECIPES[LAST])
        return without or (self._offer and await self._try(RECIPES[LAST], login=True))

    @property
    def _wants_login_everywhere(self) -> bool:
        return self._stranger is not None and self._stranger[0] is ErrorState.AUTH

    @property
    def _hint(self) -> str | None:
        return next((name for name, realm in REALMS.items() if self._realm and realm.search(self._realm)), None)

    async def _answers_everything(self) -> bool:
        path = f"/cctv-images-{secrets.token_hex(4)}"
        answer = await self._ask("a path of no make", "generic", path=path)
        if answer.error is not None:
            self._stranger = answer.error.state, answer.error.detail
        self._realm = _challenge(answer)
        return answer.picture is not None

    async def _try(self, recipe: Recipe, login: bool = False) -> bool:
        """Whether that make's request gives a whole picture."""
        if self._silences.get(self._port(recipe), 0) >= PATIENCE:
            return False
        answer = await self._ask(recipe.name, recipe.name, login=login)
        error = answer.error
        if not login and error and error.state is ErrorState.AUTH and (error.state, error.detail) != self._stranger:
            self._wanting[recipe.name] = _challenge(answer) is not None
        return answer.picture is not None

    async def _ask(self, label: str, recipe: str, *, login: bool = False, path: str | None = None) -> Answer:
        camera = replace(self._finding.camera, recipe=recipe, path=path, channel=None)
        asked = await (self._login if login else self._bare).ask(camera, explain=True)
        self._finding.answer = asked
        result = f"{asked.error.state}: {asked.error.detail}" if asked.error else "a picture"
        self._finding.tries.append((f"{label}, with the login" if login else label, result))
        self._finding.with_login |= login
        port = self._port(RECIPES[recipe])
        if asked.error is not None and asked.error.state in _GONE:
            self._silences[port] = PATIENCE
        elif asked.error is not None and asked.error.state in _SILENT:
            self._silences[port] = self._silences.get(port, 0) + 1
        return asked

    def _port(self, recipe: Recipe) -> int | None:
        return self._finding.camera.port or recipe.port_of(self._finding.camera.scheme)

    async def _logged_in(self, ways: list[tuple[Recipe, list[str]]]) -> tuple[Recipe, list[str]] | None:
        """Offers the login once, where it is wanted; goes on with it only as long as the device accepts it."""
        for recipe, alike in self._candidates(ways):
            if await self._try(recipe, login=True):
                return recipe, alike
            error = self._finding.answer.error if self._finding.answer else None
            if error is not None and error.state not in _LOGIN_TAKEN:
                self._finding.remark = f"asked as {recipe.name} with the login it says: {error.detail}"
                break
        return None

    def _candidates(self, ways: list[tuple[Recipe, list[str]]]) -> Iterator[tuple[Recipe, list[str]]]:
        """Ways to log in: where a path of a make wants it, else everywhere, the make that the camera names first."""
        if not self._wanting and self._wants_login_everywhere and self._realm is not None:
            ways = sorted(ways, key=lambda way: way[0].name != self._hint)
            wanting = {way[0].name: True for way in ways}
        else:
            wanting = self._wanting
        for recipe, alike in ways:
            names = [recipe.name, *alike] if recipe.name in wanting else []
            own = [name for name in names if _has_own_login(RECIPES[name])]
            chosen = [name for name in names if name not in own] if wanting.get(recipe.name) else own
            for name in chosen[:1]:
                yield RECIPES[name], [other for other in names if other != name]

    def _found(self, recipe: Recipe, alike: list[str]) -> Finding:
        self._finding.recipe, self._finding.alike = recipe, alike
        self._finding.remark = ""
        return self._finding

    def _explain(self) -> None:
        finding = self._finding
        if finding.remark:
            return
        if self._wanting:
            names = ", ".join(list(self._wanting)[:3])
            finding.remark = f"{names} may be it: that path is there and wants a login"
        elif self._wants_login_everywhere:
            hint = f"; by its words it is {self._hint}" if self._hint else ""
            finding.remark = f"it wants a login for every path, so its make cannot be told without one{hint}"
        elif all(result.partition(":")[0] in (*_GONE, *_SILENT) for _, result in finding.tries):
            finding.remark = f"it cannot be asked: {finding.tries[0][1]}"
        else:
            finding.remark = "none of the known makes gives a picture here"


def _challenge(answer: Answer) -> str | None:
    """The header in which a camera asks for a login."""
    lines = [line for step in answer.trace.steps for line in step.lines]
    return next((line for line in lines if line.lower().startswith("www-authenticate:")), None)


def _has_own_login(recipe: Recipe) -> bool:
    return recipe.session is not None or LOGIN_PLACE.search(recipe.path) is not None


def _ways(camera: Camera) -> Iterator[tuple[Recipe, list[str]]]:
    """Each request that some make is asked with, once, and the other recipes that share it."""
    order = [RECIPES[name] for name in FIRST] + [recipe for name, recipe in RECIPES.items() if name not in FIRST]
    ways: dict[tuple[int | None, str], list[Recipe]] = {}
    for recipe in order:
        if recipe.name in NOT_TRIED:
            continue
        bare = replace(camera, recipe=recipe.name, path=None, channel=None)
        port = camera.port or recipe.port_of(camera.scheme)
        ways.setdefault((port, without_login(recipe.target(bare))), []).append(recipe)
    for first, *rest in ways.values():
        yield first, [recipe.name for recipe in rest]


@asynccontextmanager
async def finder(settings: Settings) -> AsyncIterator[Finder]:
    timeout = min(settings.timeout, TIMEOUT_S)
    nobody: dict[str, Any] = {"credentials": {}, "camera_username": "", "camera_password": None, "timeout": timeout}
    async with asker(settings.model_copy(update=nobody)) as bare, asker(settings) as login:
        yield Finder(bare, login)


def inventory_lines(finding: Finding, address: str, credentials: str | None) -> list[str]:
    """A heading and a row for the inventory."""
    named = credentials if finding.with_login and credentials else ""
    heading, row = "camera_id,address,model", f"{finding.camera.camera_id},{address},{finding.model}"
    return [f"{heading},credentials", f"{row},{named}"] if named else [heading, row]


def shown(finding: Finding) -> list[str]:
    """The verdict in sentences."""
    lines = [f"  {name:<34} {plain(result, 100)}" for name, result in finding.tries]
    if finding.recipe is None:
        return [*lines, "", f"Not found: {finding.remark}."]
    picture = finding.answer.picture if finding.answer else None
    size = f", a whole picture of {picture.width}x{picture.height}" if picture else ""
    also = f" Asked in the same way: {', '.join(finding.alike)}." if finding.alike else ""
    login = " with the login" if finding.with_login else " without a login"
    return [*lines, "", f"It answers as {finding.recipe.name} ({finding.recipe.title}){login}{size}.{also}"]
