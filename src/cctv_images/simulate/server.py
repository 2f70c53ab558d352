"""The zoo: thousands of cameras in one process on one port, each at its own 127/8 address, never beyond loopback."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import resource
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import Any, Self

from cctv_images.inventory.camera import Camera
from cctv_images.simulate.answers import TRAP_HOST
from cctv_images.simulate.faults import FAULTS, Fault
from cctv_images.simulate.fleet import SimulatedCamera
from cctv_images.simulate.login import Gatekeeper, LoginCounts
from cctv_images.simulate.pictures import LivingPictures, Pictures
from cctv_images.simulate.tokens import Desk
from cctv_images.simulate.visit import Visit

COLUMNS = ("camera_id", "address", "model", "name", "latitude", "longitude", "credentials")
_BACKLOG = 4096
_SEND_BUFFER = 262_144
_LOOPBACK_DEVICE = b"lo\0"


@dataclass(slots=True)
class Counts:
    """What one camera has seen."""

    connections: int = 0
    requests: int = 0
    """Requests read, of whatever kind."""
    pictures: int = 0
    """Whole pictures sent, or begun by a fault."""
    open: int = 0
    """Requests in work."""
    open_max: int = 0
    strays: int = 0
    """Requests for another path than its make's."""
    last_request_at: float = 0.0
    """Seconds of the zoo's clock."""


@dataclass(slots=True)
class Resident:
    """A camera and what changes of it while the zoo runs."""

    camera: SimulatedCamera
    fault: Fault
    gatekeeper: Gatekeeper | None
    counts: Counts = field(default_factory=Counts)
    desk: Desk | None = None
    """Where a make gives tokens."""
    now: Callable[[], float] = time.monotonic
    unhurried_until: float = 0.0
    """Seconds of the zoo's clock before which it gives no further picture, where its make takes its time."""
    kept: bytes | asyncio.Future[bytes] | None = None
    """The picture at which it is stuck."""
    turns: int = 0
    """Answers given since its fault was set: what faults in time go by."""

    @property
    def login_counts(self) -> LoginCounts:
        return self.gatekeeper.counts if self.gatekeeper is not None else LoginCounts()


class Zoo:
    """Plays cameras from `start` to `close`; also an async context manager.

    One listening socket on the loopback device takes all addresses (Linux 5.7 or newer, no rights needed); where that
    is refused, each address gets a listener. port 0 picks a free one. clock: monotonic seconds, for locks.
    tls: a server-side context; cameras with TLS_SELF_SIGNED then answer https at a port of their own.
    each_address: a listener for each camera from the start.
    """

    def __init__(
        self,
        cameras: Iterable[SimulatedCamera],
        *,
        port: int = 0,
        pictures: Pictures | None = None,
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.monotonic,
        each_address: bool = False,
    ) -> None:
        self.residents = {c.camera_id: self._resident(c, clock) for c in cameras}
        self.pictures = pictures if pictures is not None else LivingPictures()
        self.port = port
        self.tls_port = 0
        self.trespassers: list[str] = []
        """Requests that followed a redirect to another host: their first lines, Authorization included."""
        self.clock = clock
        self._tls = tls
        self._by_host = {r.camera.host: r for r in self.residents.values()}
        self._servers: list[asyncio.Server] = []
        self._visits: set[Visit] = set()
        self._plugs: dict[str, list[socket.socket]] = {}
        self._reserved: socket.socket | None = None
        self._closed: socket.socket | None = None
        self._whole_loopback = not each_address
        for resident in self.residents.values():
            self._afflict(resident, resident.camera.fault)

    def _resident(self, camera: SimulatedCamera, clock: Callable[[], float]) -> Resident:
        limit = camera.persona.sessions
        desk = Desk(limit) if limit is not None and camera.account is not None else None
        return Resident(camera, Fault.NONE, self._gatekeeper(camera, clock), desk=desk, now=clock)

    @staticmethod
    def _gatekeeper(camera: SimulatedCamera, clock: Callable[[], float]) -> Gatekeeper | None:
        if camera.persona.login is None or camera.account is None:
            return None
        return Gatekeeper(camera.persona.login, camera.account.username, camera.account.password, clock)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Raises OSError when the port is taken."""
        raise_file_limit()
        self._closed = _bound("0.0.0.0", 0, shared=False)  # noqa: S104 - bound only, nobody listens on it
        self._reserve()
        await self.come_back()
        for resident in self.residents.values():
            if resident.fault is Fault.CONNECT_TIMEOUT:
                self._plug(resident.camera.host)

    def _reserve(self) -> None:
        """Keeps the port while nobody listens, and finds out whether one socket can take the whole loopback."""
        if self.port:
            _bound("127.0.0.1", self.port, shared=False).close()  # raises where another has it: REUSEPORT would not
        try:
            if self._whole_loopback:
                self._reserved = _bound("0.0.0.0", self.port, device=True)  # noqa: S104 - on the loopback device alone
        except PermissionError:
            self._whole_loopback = False
        if self._reserved is None:
            self._reserved = _bound("127.0.0.1", self.port)
        self.port = int(self._reserved.getsockname()[1])

    async def close(self) -> None:
        self.go_dark()
        for host in list(self._plugs):
            self._unplug(host)
        for sock in (self._reserved, self._closed):
            if sock is not None:
                sock.close()
        self._reserved = self._closed = None
        self.pictures.close()
        await asyncio.sleep(0)

    def go_dark(self) -> None:
        """As if our own network were gone: every connection is refused, those that stand are cut."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        for visit in list(self._visits):
            visit.cut()

    async def come_back(self) -> None:
        loop = asyncio.get_running_loop()
        for sock in self._listeners(self.port):
            self._servers.append(await loop.create_server(self._visit, sock=sock, backlog=_BACKLOG))
        if self._tls is not None:
            for sock in self._listeners(self.tls_port):
                self.tls_port = int(sock.getsockname()[1])
                server = await loop.create_server(self._visit, sock=sock, backlog=_BACKLOG, ssl=self._tls)
                self._servers.append(server)

    def _listeners(self, port: int) -> Iterable[socket.socket]:
        if self._whole_loopback:
            yield _bound("0.0.0.0", port, device=True)  # noqa: S104 - on the loopback device alone
            return
        for host in ("127.0.0.1", TRAP_HOST, *self._by_host):
            if host not in self._plugs:
                yield _bound(host, port)

    def _visit(self) -> Visit:
        return Visit(self)

    # What visits ask for

    def at(self, host: str) -> Resident | None:
        return self._by_host.get(host)

    def entered(self, visit: Visit) -> None:
        self._visits.add(visit)

    def left(self, visit: Visit) -> None:
        self._visits.discard(visit)

    # What tests and operators ask for

    def address(self, camera_id: str) -> str:
        """What stands in the inventory's address column: host:port, or a URL for makes without a path of their own."""
        camera = self.residents[camera_id].camera
        host, port, scheme = camera.host, self.port, ""
        match camera.fault:
            case Fault.DNS:
                host = f"{camera.camera_id}.invalid"
            case Fault.UNREACHABLE:
                assert self._closed is not None
                port = int(self._closed.getsockname()[1])
            case Fault.TLS:
                scheme = "https://"
            case Fault.TLS_SELF_SIGNED:
                scheme, port = "https://", self.tls_port
        if camera.path is not None:
            return f"{scheme or 'http://'}{host}:{port}{camera.path}"
        return f"{scheme}{host}:{port}"

    def camera(self, camera_id: str) -> Camera:
        """The inventory's row, as the inventory would read it."""
        simulated = self.residents[camera_id].camera
        scheme, _, rest = self.address(camera_id).rpartition("://")
        where, slash, path = rest.partition("/")
        host, _, port = where.rpartition(":")
        return Camera(
            camera_id,
            simulated.persona.recipe,
            simulated.model,
            scheme or "http",
            host,
            int(port),
            slash + path if slash else None,
            simulated.name,
            simulated.latitude,
            simulated.longitude,
            credentials=simulated.credentials,
        )

    def cameras(self) -> dict[str, Camera]:
        return {camera_id: self.camera(camera_id) for camera_id in self.residents}

    def credentials(self) -> dict[str, dict[str, str]]:
        """What belongs into CCTV_CREDENTIALS."""
        return {
            c.credentials: {"username": c.account.username, "password": c.account.password}
            for c in (r.camera for r in self.residents.values())
            if c.credentials is not None and c.account is not None
        }

    def inventory_csv(self) -> str:
        out = io.StringIO()
        table = csv.writer(out, lineterminator="\n")
        table.writerow(COLUMNS)
        for camera_id, resident in self.residents.items():
            c = resident.camera
            row = (camera_id, self.address(camera_id), c.model, c.name, c.latitude, c.longitude, c.credentials or "")
            table.writerow(row)
        return out.getvalue()

    def stats(self) -> dict[str, dict[str, Any]]:
        """Counters by camera, ready for JSON."""
        return {
            camera_id: {"fault": r.fault.value, "persona": r.camera.persona.name, "host": r.camera.host}
            | asdict(r.counts)
            | asdict(r.login_counts)
            for camera_id, r in self.residents.items()
        }

    def counts(self, camera_id: str) -> Counts:
        return self.residents[camera_id].counts

    def login_counts(self, camera_id: str) -> LoginCounts:
        return self.residents[camera_id].login_counts

    def set_fault(self, camera_id: str, fault: Fault | str) -> None:
        """Changes a camera's fault from the next request on. Raises KeyError (no such camera) and ValueError (no such
        fault, or one that stands in the inventory's address)."""
        fault, resident = Fault(fault), self.residents[camera_id]
        unpluggable = Fault.CONNECT_TIMEOUT in (fault, resident.fault) and not self._whole_loopback
        if FAULTS[fault].by_address or unpluggable:
            raise ValueError(f"{fault} is a matter of the address in the inventory")
        self._afflict(resident, fault)
        if fault is Fault.CONNECT_TIMEOUT:
            self._plug(resident.camera.host)
        else:
            self._unplug(resident.camera.host)

    def _afflict(self, resident: Resident, fault: Fault) -> None:
        resident.fault, resident.turns = fault, 0
        if resident.gatekeeper is None or resident.camera.account is None:
            return
        changed = fault is Fault.WRONG_PASSWORD
        resident.gatekeeper.password = "zoo-changed" if changed else resident.camera.account.password
        resident.gatekeeper.locked_until = float("inf") if fault is Fault.LOCKED else 0.0

    def _plug(self, host: str) -> None:
        """A listener of that address alone whose queue is full: the kernel drops further connection requests."""
        if host in self._plugs:
            return
        plug = _bound(host, self.port, device=self._whole_loopback)
        plug.listen(0)
        self._plugs[host] = [plug]
        for _ in range(2):
            filler = socket.socket()
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect((host, self.port))
            self._plugs[host].append(filler)

    def _unplug(self, host: str) -> None:
        for sock in self._plugs.pop(host, []):
            sock.close()


def raise_file_limit() -> None:
    """A thousand cameras answer at once: as many files as the system allows without asking."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _bound(host: str, port: int, *, device: bool = False, shared: bool = True) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if device:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, _LOOPBACK_DEVICE)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        sock.setblocking(False)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock
