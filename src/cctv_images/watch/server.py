"""The local web server: page, pictures, JSON, metrics, health. Reads only; acting goes through the Unix socket."""

from __future__ import annotations

import asyncio
import errno
import json
import socket
from collections.abc import Callable, Mapping
from email.utils import formatdate
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, cast

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.typedefs import Handler, Middleware

from cctv_images.clock import Clock, iso
from cctv_images.errors import ConfigError
from cctv_images.records import CameraRecord, Fleet
from cctv_images.watch import views
from cctv_images.watch.metrics import CONTENT_TYPE, metrics_text

MAX_CONNECTIONS = 200
IDLE_S = 15.0
"""A connection that sends no whole request within this time is closed."""
ANSWER_S = 60.0
"""A client that has not taken its answer within this time is cut off."""
CAMERAS_AT_ONCE = 25
"""So many are rendered before the event loop may do something else."""
PAGE_FILES: Final = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/favicon.ico": ("favicon.svg", "image/svg+xml"),
}
SECURITY_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "cctv-images",
}

ImagePath = Callable[[str], Path | None]
"""camera_id -> the file that holds what is published for it, or None."""

_fleet = web.AppKey("fleet", Fleet)
_clock = web.AppKey("clock", Clock)
_image_path = web.AppKey[ImagePath]("image_path")
_etag = web.RequestKey("etag", str)


class WebServer:
    """Listens while it is open."""

    def __init__(
        self,
        fleet: Fleet,
        clock: Clock,
        image_path: ImagePath,
        *,
        idle_s: float = IDLE_S,
        answer_s: float = ANSWER_S,
    ) -> None:
        app = _app(fleet, clock, image_path, answer_s)
        self._runner = web.AppRunner(app, access_log=None, keepalive_timeout=idle_s, shutdown_timeout=1.0)
        self._answer_s = answer_s
        self._server: asyncio.Server | None = None

    async def open(self, listen: str) -> int:
        """Listens on host:port and returns the port. Raises ConfigError naming CCTV_LISTEN."""
        host, port = parse_listen(listen)
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(self._accept, host, port, backlog=MAX_CONNECTIONS)
        except OSError as exc:
            await self._runner.cleanup()
            raise ConfigError(f"CCTV_LISTEN: cannot listen on {listen}: {_reason(exc)}") from None
        for listener in self._server.sockets:
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(self._answer_s * 1000))
        return int(self._server.sockets[0].getsockname()[1])

    def _accept(self) -> asyncio.Protocol:
        server = self._runner.server
        assert server is not None
        return server() if len(server.connections) < MAX_CONNECTIONS else _Refusal()

    async def close(self) -> None:
        if self._server:
            self._server.close()
            await self._runner.cleanup()
            self._server = None


class _Refusal(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).abort()  # uvloop's is one in all but name


def parse_listen(listen: str) -> tuple[str, int]:
    """ "127.0.0.1:8080" or "[::1]:8080" -> (host, port). Raises ConfigError."""
    host, colon, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and host and port.isascii() and port.isdecimal() and int(port) < 65536):
        raise ConfigError(f'CCTV_LISTEN: "{listen}" is not host:port, e.g. 127.0.0.1:8080')
    return host, int(port)


def _reason(exc: OSError) -> str:
    if isinstance(exc, socket.gaierror):
        return "the host name does not resolve"
    if exc.errno == errno.EADDRINUSE:
        return "the port is in use"
    if exc.errno == errno.EADDRNOTAVAIL:
        return "this machine has no such address"
    return exc.strerror or type(exc).__name__


def _app(fleet: Fleet, clock: Clock, image_path: ImagePath, answer_s: float) -> web.Application:
    app = web.Application(middlewares=[_time_limit(answer_s)], client_max_size=1024)
    app[_fleet], app[_clock], app[_image_path] = fleet, clock, image_path
    app.on_response_prepare.append(_add_headers)
    for route, (name, content_type) in PAGE_FILES.items():
        app.router.add_get(route, _page_file(name, content_type))
    app.router.add_get("/image/{camera_id}.jpg", _image)
    app.router.add_get("/api/cameras", _cameras)
    app.router.add_get("/api/cameras/{camera_id}", _camera)
    app.router.add_get("/metrics", _metrics)
    app.router.add_get("/healthz", _healthz)
    app.router.add_get("/livez", _livez)
    return app


def _time_limit(seconds: float) -> Middleware:
    @web.middleware
    async def within_time(request: web.Request, handler: Handler) -> web.StreamResponse:
        """Writes the answer here, so that a client that does not read cannot hold it for ever, nor one that leaves
        fill the log."""
        try:
            async with asyncio.timeout(seconds):
                response = await handler(request)
                await response.prepare(request)
                await response.write_eof()
                return response
        except (TimeoutError, ConnectionError):
            if request.transport:
                request.transport.abort()
            return web.Response(status=408)  # for nobody: aiohttp wants one

    return within_time


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(SECURITY_HEADERS)
    if _etag in request and response.status in (200, 206, 304):
        response.etag = request[_etag]  # instead of the one that FileResponse makes of size and time


def _page_file(name: str, content_type: str) -> Handler:
    body = (files("cctv_images.watch") / "page" / name).read_bytes()

    async def page_file(_: web.Request) -> web.Response:
        headers = {"Cache-Control": "no-cache"}
        charset = None if content_type.startswith("image/") else "utf-8"
        return web.Response(body=body, content_type=content_type, charset=charset, headers=headers)

    return page_file


def _record(request: web.Request) -> CameraRecord:
    record = request.app[_fleet].cameras.get(request.match_info["camera_id"])
    if record is None:
        raise web.HTTPNotFound(text="no such camera\n")
    return record


class _Picture(web.FileResponse):
    """Can be prepared twice, as other responses can: aiohttp does so after the time limit has written it."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        return None if self.prepared else await super().prepare(request)


async def _image(request: web.Request) -> web.StreamResponse:
    record = _record(request)
    path = request.app[_image_path](record.camera.camera_id)
    if path is None or record.kind is None:
        raise web.HTTPNotFound(text="nothing is published for this camera yet\n")
    headers = _image_headers(record)
    if record.etag:
        request[_etag] = record.etag
        wanted = request.if_none_match or ()
        if any(tag.value in (record.etag, "*") for tag in wanted):
            return web.Response(status=304, headers=headers)
    return _Picture(path, headers=headers | {"Content-Type": "image/jpeg"})


def _image_headers(record: CameraRecord) -> dict[str, str]:
    headers = {"X-Kind": record.kind or ""}
    if record.expires_at is not None:
        headers["Expires"] = formatdate(record.expires_at, usegmt=True)
    if record.captured_at is not None:
        headers["X-Captured-At"] = iso(record.captured_at)
    if record.state.error_state:
        headers["X-Error-State"] = record.state.error_state
    return headers


async def _cameras(request: web.Request) -> web.StreamResponse:
    """All cameras, in the inventory's order. `?brief` leaves the last cycles out: what the page asks for."""
    fleet, clock = request.app[_fleet], request.app[_clock]
    view = views.camera_brief if "brief" in request.query else views.camera_json
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Cache-Control": "no-store"})
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    figures = _json(views.fleet_json(fleet, clock.time(), clock.monotonic()))
    lead, records = f'{{"fleet":{figures},"cameras":[', list(fleet.cameras.values())
    for start in range(0, len(records), CAMERAS_AT_ONCE):
        part = records[start : start + CAMERAS_AT_ONCE]
        now, monotonic_now = clock.time(), clock.monotonic()
        await response.write((lead + ",".join(_json(view(r, now, monotonic_now)) for r in part)).encode())
        lead = ","
        await asyncio.sleep(0)
    await response.write(b"]}" if records else f"{lead}]}}".encode())
    return response


async def _camera(request: web.Request) -> web.Response:
    record, clock = _record(request), request.app[_clock]
    return web.Response(
        text=_json(views.camera_json(record, clock.time(), clock.monotonic())),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))


async def _metrics(request: web.Request) -> web.Response:
    return web.Response(body=metrics_text(request.app[_fleet]).encode(), headers={"Content-Type": CONTENT_TYPE})


async def _healthz(request: web.Request) -> web.Response:
    status, reason = views.health_verdict(request.app[_fleet], request.app[_clock].monotonic())
    return web.Response(status=status, text=reason + "\n", headers={"Cache-Control": "no-store"})


async def _livez(_: web.Request) -> web.Response:
    return web.Response(text="ok\n", headers={"Cache-Control": "no-store"})
