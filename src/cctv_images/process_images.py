"""The service: builds everything in one place, keeps one task per camera, follows the inventory.

`serve` is the daemon; with once=True it is a function that makes one cycle per camera and returns.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import structlog

from cctv_images import __version__, parts
from cctv_images.acquire.logins import Login
from cctv_images.archiving import open_archiving, prove
from cctv_images.clock import RealClock
from cctv_images.doubts import Doubts
from cctv_images.errors import EX_BAD, EX_OK, CameraError, ConfigError, plain
from cctv_images.inventory.changes import Changes, ReloadRefused, changes
from cctv_images.inventory.source import InventorySource, InventoryUnavailable, Loaded
from cctv_images.last_pictures import LastPictures
from cctv_images.listed import Listed
from cctv_images.neighbours import Neighbours
from cctv_images.process import Fallbacks, Processor, load_fallback
from cctv_images.publish import Publisher, Store, open_archive, open_store
from cctv_images.publish.folder import FolderStore
from cctv_images.records import CameraRecord, Fleet
from cctv_images.removals import Removals
from cctv_images.rescue import Rescue
from cctv_images.retain.ledger import present
from cctv_images.roster import Roster
from cctv_images.settings import Settings, fingerprint, fingerprint_mistake, load_settings, restart_needed
from cctv_images.states import Policy
from cctv_images.uplink import UplinkGate
from cctv_images.watch.control import ControlServer
from cctv_images.watch.copies import Copies
from cctv_images.watch.logs import hide_secrets
from cctv_images.watch.server import WebServer
from cctv_images.watch.systemd import Heartbeat, notify, service_gate
from cctv_images.watch.views import Totals, cameras_json, summary_figures
from cctv_images.wording import ENGLISH
from cctv_images.worker import CameraWorker, Tools

log = structlog.get_logger()

DRAIN_S = 6.0
"""How long cycles under way may take to finish at a stop; the whole stop takes less than ten seconds."""
TICK_S = 1.0
SUMMARY_AT_MOST_EVERY_S = 60.0
DEBTS_EVERY_S = 30.0
ONCE_AT_A_TIME = 1000
ONCE_PATIENCE_S = 30.0
"""How long `run --once` waits for a sick store."""


async def serve(
    settings: Settings,
    *,
    env_file: Path | None = None,
    once: bool = False,
    progress: Callable[[CameraRecord, int], None] | None = None,
) -> int:
    """Runs until SIGTERM or SIGINT; with once=True, one cycle per camera. Returns the exit code.

    progress(record, total) is called after each camera's cycle of `once`. Raises ConfigError before the first request.
    """
    if mistake := fingerprint_mistake(settings):
        log.error("settings_differ", detail=mistake)
        raise ConfigError(mistake)
    service = Service(settings, env_file)
    async with AsyncExitStack() as stack:
        if once:
            await service.open(stack)
            return await service.run_once(progress)
        try:
            service.heed_signals()
            await service.open(stack)
            loaded = await service.begin(stack)
        except asyncio.CancelledError:
            if not service.stopping.is_set():
                raise
            log.info("service_stopped", published=0, detail="while it was starting")
            return EX_OK
        return await service.run(loaded)


class Service:
    """The household around the cameras. If one of its own tasks dies, the process ends and systemd restarts it."""

    def __init__(self, settings: Settings, env_file: Path | None) -> None:
        self.settings = settings
        self.env_file = env_file
        self.clock = RealClock()
        self.fleet = Fleet(self.clock.time(), fingerprint=fingerprint(settings))
        self.stopping = asyncio.Event()
        self.hung_up = asyncio.Event()
        self.debts_due = asyncio.Event()
        self.gate = UplinkGate(settings.uplink_hold)
        self._starting: asyncio.Task[Any] | None = None

    def heed_signals(self) -> None:
        """From the first moment: by default a SIGHUP would end the process, and a SIGTERM would not be a clean end."""
        self._starting, loop = asyncio.current_task(), asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_stop)
        loop.add_signal_handler(signal.SIGHUP, self.hung_up.set)

    def _on_stop(self) -> None:
        self.stopping.set()
        if self._starting:
            self._starting.cancel()

    async def open(self, stack: AsyncExitStack) -> None:
        """Builds everything. Raises ConfigError; asks no camera and no store."""
        settings, clock = self.settings, self.clock
        parts.own_state_folder(settings.state_dir)
        self.ledger = parts.ledger(settings, clock, self.fleet)
        stack.callback(self.ledger.close)
        self.archive = await open_archiving(settings, clock, self.ledger, self.fleet.archive)
        self.neighbours = None
        if archive := self.archive:
            stack.push_async_callback(archive.close)
            self.neighbours = Neighbours(settings, clock, lambda: archive.store)
        own = load_fallback(settings.fallback_image) if settings.fallback_image else None
        fallback = Fallbacks(own, settings.fallback_text or ENGLISH, self._on_plain_fallback)
        stack.callback(fallback.close)
        self.store = store = await open_store(settings)
        self.publisher = Publisher(store, clock, on_sick=self._on_sick, on_well=self._on_well)
        stack.push_async_callback(self.publisher.close)
        self.guard = parts.login_guard(settings, clock, self._on_refused, self._on_changed)
        stack.push_async_callback(self.guard.close)
        self.acquirer = parts.acquirer(settings, self.guard)
        stack.push_async_callback(self.acquirer.close)
        self.processor = Processor(settings.max_image_pixels)
        stack.callback(self.processor.close)
        self.images = store.root if isinstance(store, FolderStore) else settings.state_dir / "current"
        copies = None
        if settings.listen and not isinstance(store, FolderStore):
            copies = Copies(self.images, self._on_copies_trouble)
            stack.callback(copies.close)
        self.tools = Tools(
            clock=clock,
            acquirer=self.acquirer,
            processor=self.processor,
            publisher=self.publisher,
            fleet=self.fleet,
            gate=self.gate,
            policy=Policy(settings.failure_limit, settings.refusal_limit, settings.fallback_after),
            fallback=fallback,
            key=settings.key,
            attempts=settings.attempts,
            backoff_s=settings.backoff,
            timeout_s=settings.timeout,
            account=self.ledger,
            doubts=Doubts(settings.frozen_after, settings.content_action == "fallback"),
            keep=self.archive.keep if self.archive else None,
            keep_copy=copies.keep if copies else None,
        )
        self.pictures = LastPictures(settings.state_dir / "pictures.json", self.fleet, clock)
        self.roster = Roster(
            self.fleet, self.tools, settings.interval, clock.time() - clock.monotonic(), self.pictures.restore
        )
        self.rescue = Rescue(self.fleet, self.gate, self.roster, settings.revive_after)
        self.tools.on_uplink = self.rescue.on_uplink
        self.removals = Removals(
            settings.state_dir / "removed.json",
            settings.removed,
            settings.key,
            settings.interval,
            fallback,
            self.publisher,
            clock,
            self.pictures,
        )
        source = parts.inventory_source(settings, clock)
        self.listed = Listed(settings, source, self.fleet, clock, self.roster, self.removals, self._on_listed)

    # --- once, and for ever ---

    async def run_once(self, progress: Callable[[CameraRecord, int], None] | None) -> int:
        loaded = await self.listed.first()
        if loaded is None:
            return EX_BAD  # inventory_stale says why
        self.listed.report(loaded)
        self.publisher.be_impatient(ONCE_PATIENCE_S)
        await prove(self.settings, self.store, self.publisher, self.archive, self.neighbours)
        workers = [self.roster.enlist(camera) for camera in loaded.inventory.cameras.values()]
        places = asyncio.Semaphore(ONCE_AT_A_TIME)

        async def turn(worker: CameraWorker) -> None:
            async with places:
                await worker.turn(self.clock.monotonic())
            if progress:
                progress(worker.record, len(workers))

        turns = [asyncio.create_task(turn(w), name=f"camera:{w.record.camera.camera_id}") for w in workers]
        if turns:
            await asyncio.wait(turns)
        await self.pictures.save()
        if self.archive:
            await self.archive.drain(ONCE_PATIENCE_S)
        return EX_BAD if self.fleet.put_failures else EX_OK

    async def begin(self, stack: AsyncExitStack) -> Loaded | None:
        """Opens control socket and page, proves store and archive, reads the inventory. Raises ConfigError."""
        settings = self.settings
        await parts.check_alerts(settings)
        control = ControlServer(settings.control, self)
        await control.open()
        stack.push_async_callback(control.close)
        if settings.listen:
            page = WebServer(self.fleet, self.clock, self.image_path)
            await page.open(settings.listen)
            stack.push_async_callback(page.close)
        await prove(settings, self.store, self.publisher, self.archive, self.neighbours)
        return await self.listed.first()

    async def run(self, loaded: Loaded | None) -> int:
        settings, self._starting = self.settings, None
        log.info(
            "service_started",
            version=__version__,
            store=settings.store,
            archive=settings.archive or "none",
            interval=settings.interval,
            fingerprint=self.fleet.fingerprint,
        )
        async with asyncio.TaskGroup() as household:
            chores = [household.create_task(chore, name=name) for name, chore in self._chores(loaded).items()]
            await self.stopping.wait()
            notify("STOPPING=1")
            log.info("service_stopping", cameras=len(self.roster.tasks))
            await self.roster.drain(DRAIN_S)
            for chore in chores:
                chore.cancel()
        await self.pictures.save()
        log.info("service_stopped", published=self.fleet.published.total())
        return EX_OK

    def _chores(self, loaded: Loaded | None) -> dict[str, Coroutine[Any, Any, None]]:
        gate = service_gate(self.fleet, self.clock, {"picture threads": self.processor.alive})
        return {
            "inventory": self.listed.follow(loaded),
            "hangups": self._reload_on_hangup(),
            "summary": self._summarise(),
            "ledger": self.ledger.follow(self.fleet),
            "every second": self._every_second(),
            "debts": self._pay_debts(),
            "last pictures": self.pictures.run(),
            "heartbeat": Heartbeat(self.fleet, gate).run(),
        } | self._chores_if_wanted()

    def _chores_if_wanted(self) -> dict[str, Coroutine[Any, Any, None]]:
        chores = {}
        if self.archive and self.neighbours:
            chores = {"archive": self.archive.run(), "neighbours": self.neighbours.run()}
        if self.settings.alert_urls:
            chores["alerts"] = parts.alarm(self.settings, self.clock, self.fleet).run()
        return chores

    # --- what operators ask for (watch.control) ---

    async def status(self) -> dict[str, Any]:
        return cameras_json(self.fleet, self.clock.time(), self.clock.monotonic(), brief=True)

    async def revive(self, camera_ids: Sequence[str] | None, offer_login: bool) -> dict[str, Any]:
        """camera_ids None = all that are disabled. Raises ConfigError for ids that are not run."""
        unknown = [i for i in camera_ids or () if i not in self.roster.workers]
        if unknown:
            raise ConfigError(f"no camera {', '.join(map(plain, unknown))} is run.")
        records = [self.fleet.cameras[i] for i in (self.roster.workers if camera_ids is None else camera_ids)]
        if offer_login:
            try:
                for host in {record.camera.host for record in records}:
                    await self.guard.clear(host)
            except CameraError as error:
                raise ConfigError(f"{error.detail}.") from None
        revived = await self.roster.revive(records, "asked for by an operator")
        return {"revived": revived, "already_running": len(records) - len(revived)}

    async def reload(self, force: bool) -> dict[str, Any]:
        """Re-reads settings and inventory. Raises ConfigError with the reason; everything then stays as it was."""
        async with self.listed.changing:
            try:
                settings, source, loaded, plan, store, kept_in = await self._read_again(force)
            except (ConfigError, InventoryUnavailable, ReloadRefused) as exc:
                log.error("reload_refused", detail=str(exc))
                raise ConfigError(str(exc)) from None
            hide_secrets(settings)
            self.settings = self.listed.settings = settings
            self.listed.source = source
            self.acquirer.update_credentials(settings.credentials, settings.default_login)
            await self.publisher.swap(store)
            if self.archive and kept_in:
                await self.archive.swap(kept_in)
            await self.listed.apply(plan, loaded)
            revived = await self.roster.revive(self.fleet.cameras.values(), "reload")
        return {
            "cameras": len(self.listed.running),
            "started": len(plan.started),
            "changed": len(plan.restarted),
            "stopped": len(plan.removed) + len(plan.paused),
            "kept": len(plan.kept),
            "rejected_rows": self.fleet.rejected_rows,
            "revived": len(revived),
        }

    async def _read_again(self, force: bool) -> tuple[Settings, InventorySource, Loaded, Changes, Store, Store | None]:
        settings = await asyncio.to_thread(load_settings, self.env_file)
        if names := restart_needed(self.settings, settings):
            raise ConfigError(f"{', '.join(names)} changed: that takes a restart.")
        source = parts.inventory_source(settings, self.clock)
        loaded = await source.load()
        plan = changes(self.listed.running, loaded.inventory, force=force)
        kept_in = await open_archive(settings, known=True, clock=self.clock) if self.archive else None
        return settings, source, loaded, plan, await open_store(settings), kept_in

    def _on_refused(self, host: str, username: str) -> None:
        log.error("credential_refused", host=host, username=plain(username))

    def _on_changed(self, login: Login) -> None:
        names = [name for name, known in self.settings.credentials.items() if known == login]
        names += ["CCTV_CAMERA_USERNAME"] if self.settings.default_login == login else []
        log.error(
            "credential_refused",
            username=plain(login.username),
            credentials=", ".join(names),
            detail="several devices that had accepted this password refuse it: it has probably been changed; "
            "it is offered to none of them for an hour",
        )

    async def _reload_on_hangup(self) -> None:
        """SIGHUP: one reload at a time, and one more for all signals that came meanwhile."""
        while True:
            await self.hung_up.wait()
            self.hung_up.clear()
            with contextlib.suppress(ConfigError):  # logged as reload_refused
                await self.reload(force=False)

    # --- the store, and what is owed to it ---

    def _on_listed(self) -> None:
        self.ledger.roll_call(present(self.fleet))
        self.debts_due.set()

    def _on_sick(self, reason: str, detail: str) -> None:
        store = self.fleet.store
        store.ok, store.reason, store.detail, store.since = False, reason, detail, self.clock.time()
        log.error("store_failed", reason=reason, detail=detail)

    def _on_well(self) -> None:
        store, now = self.fleet.store, self.clock.time()
        log.info("store_recovered", reason=store.reason, seconds=round(now - store.since))
        store.ok, store.reason, store.detail, store.since = True, "", "", now
        self.debts_due.set()

    async def _pay_debts(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DEBTS_EVERY_S):
                    await self.debts_due.wait()
            self.debts_due.clear()
            if self.fleet.store.ok:
                await self.roster.pay_debts()
                await self.removals.work(self.fleet)

    def _on_plain_fallback(self, why: str) -> None:
        log.error("internal_error", detail=why)

    def _on_copies_trouble(self, why: str) -> None:
        log.warning("state_not_saved", detail=f"copies for the page: {why}")

    def image_path(self, camera_id: str) -> Path:
        return self.images / self.settings.key.format(camera_id=camera_id)

    # --- time ---

    async def _every_second(self) -> None:
        while True:
            await self.clock.sleep(TICK_S)
            self.fleet.store.waiting = self.publisher.waiting
            if self.archive:
                self.archive.look()
            if self.fleet.starting and self._all_begun():
                self.fleet.starting = False
                gc.collect()
                gc.freeze()  # what stands now stays: looking through it stops the loop for 0.1 s per 1,000 cameras
            await self.rescue.look()

    def _all_begun(self) -> bool:
        return self.listed.begun and all(w.record.cycles for w in self.roster.workers.values())

    async def _summarise(self) -> None:
        totals = Totals.of(self.fleet, self.clock.monotonic())
        while True:
            await self.clock.sleep(max(SUMMARY_AT_MOST_EVERY_S, self.settings.interval))
            now = self.clock.monotonic()
            log.info("summary", **summary_figures(self.fleet, totals, now))
            totals = Totals.of(self.fleet, now)
