"""Builds what the service and the commands both need, from settings alone."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

from cctv_images.acquire import Acquirer
from cctv_images.acquire.logins import Login, LoginGuard
from cctv_images.acquire.recipes import find_recipe, nearest
from cctv_images.acquire.rtsp import objection
from cctv_images.choices import Choices
from cctv_images.clock import Clock
from cctv_images.config.rules import pauses_s
from cctv_images.errors import ConfigError, plain
from cctv_images.inventory.rows import Rules
from cctv_images.inventory.source import InventorySource
from cctv_images.masks import Mask, read_masks
from cctv_images.records import Fleet
from cctv_images.retain.ledger import Ledger
from cctv_images.settings import Settings
from cctv_images.watch.alarm import Alarm, check_urls, try_urls
from cctv_images.watch.alerts import Policy

LEDGER = "ledger.sqlite"


def inventory_source(settings: Settings, clock: Clock) -> InventorySource:
    def recipe_name(model: str) -> str | None:
        recipe = find_recipe(model)
        return recipe.name if recipe else None

    rules = Rules(
        find_recipe=recipe_name,
        nearest=nearest,
        objection=objection,
        credentials=frozenset(settings.credentials),
        columns=settings.inventory_columns,
        choices=Choices(settings.renditions, (), settings.stamp, settings.time_zone),
        by_make={found.name: changes for make, changes in settings.by_make.items() if (found := find_recipe(make))},
        masks=privacy_masks(settings),
        shortest_interval_s=settings.attempts * settings.timeout + pauses_s(settings),
    )
    return InventorySource(settings.inventory, rules, settings.state_dir, clock, settings.inventory_headers_map())


def privacy_masks(settings: Settings) -> dict[str, tuple[Mask, ...]]:
    """Those of CCTV_MASKS. Raises ConfigError: where a mask cannot be read, no picture may be published."""
    if settings.masks is None:
        return {}
    found, wrong = read_masks(settings.masks)
    if wrong:
        raise ConfigError([f"CCTV_MASKS = {plain(settings.masks)}: {mistake}." for mistake in wrong])
    return found


def login_guard(
    settings: Settings,
    clock: Clock,
    on_refused: Callable[[str, str], None] = lambda host, username: None,
    on_changed: Callable[[Login], None] = lambda login: None,
) -> LoginGuard:
    """The count of refused logins that daemon and commands share."""
    return LoginGuard(settings.state_dir / "logins.sqlite", clock, on_refused=on_refused, on_changed=on_changed)


def acquirer(settings: Settings, guard: LoginGuard) -> Acquirer:
    return Acquirer(
        timeout_s=settings.timeout,
        max_bytes=settings.max_image_bytes,
        max_pixels=settings.max_image_pixels,
        credentials=settings.credentials,
        default_login=settings.default_login,
        networks=settings.camera_networks,
        default_login_networks_only=settings.inventory_is_remote,
        guard=guard,
    )


def ledger(settings: Settings, clock: Clock, fleet: Fleet) -> Ledger:
    path, archives = settings.state_dir / LEDGER, bool(settings.archive)
    return Ledger(path, clock, settings.ledger_days, fleet.ledger, archives=archives)


def alarm(settings: Settings, clock: Clock, fleet: Fleet) -> Alarm:
    policy = Policy(settings.alert_pause, settings.alert_repeat)
    return Alarm(_alert_urls(settings), policy, settings.state_dir / "alerts.json", fleet, clock, socket.gethostname())


async def check_alerts(settings: Settings) -> None:
    """Raises ConfigError where messages could not be sent. Sends none."""
    if settings.alert_urls:
        await check_urls(_alert_urls(settings))


async def try_alerts(settings: Settings) -> list[str]:
    """Sends a test message; names the addresses that did not take it. Raises ConfigError where there is none."""
    if not settings.alert_urls:
        raise ConfigError("CCTV_ALERT_URLS: expected an address, to which a test message could be sent.")
    return await try_urls(_alert_urls(settings), socket.gethostname())


def _alert_urls(settings: Settings) -> list[str]:
    return [url.get_secret_value() for url in settings.alert_urls]


def make_state_folder(path: Path) -> None:
    """Raises ConfigError where there can be none."""
    try:
        path.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as exc:
        raise ConfigError(f"CCTV_STATE_DIR = {path}: no folder can be made there: {exc.strerror}.") from None


def own_state_folder(path: Path) -> None:
    """Makes it, too. Raises ConfigError where the service could keep nothing: it would then offer no login."""
    make_state_folder(path)
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise ConfigError(f"CCTV_STATE_DIR = {path}: this user may not read and write there.")
