"""What the settings name on this machine: files, folders, ports. Looked at, not changed."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

from cctv_images.archiving import orphans
from cctv_images.errors import ConfigError, plain
from cctv_images.process.fallback import load_fallback
from cctv_images.process.font import missing
from cctv_images.publish import parse_address
from cctv_images.settings import Settings, fingerprint_mistake
from cctv_images.watch.server import parse_listen


def mistakes(settings: Settings) -> list[str]:
    """One sentence for each thing that `run` would stumble over, as the current user."""
    running = is_running(settings.control)
    found = [
        fingerprint_mistake(settings),
        _fallback(settings),
        _stamp(settings.stamp),
        _store("CCTV_STORE", settings.store),
        _store("CCTV_ARCHIVE", settings.archive) if settings.archive else None,
        orphans(settings),
        _folder("CCTV_STATE_DIR", settings.state_dir),
        _log_file(settings.log_file),
        None if running else _listen(settings.listen),
        _control(settings.control),
    ]
    return [mistake for mistake in found if mistake]


def is_running(control: Path) -> bool:
    """Whether a daemon answers on its control socket: then the port in use is its own."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(control))
        except OSError:
            return False
        return True


def _fallback(settings: Settings) -> str | None:
    try:
        load_fallback(settings.fallback_image)
    except ConfigError as exc:
        return str(exc)
    return None


def _stamp(stamp: str) -> str | None:
    lacking = missing(stamp)
    return f"CCTV_STAMP = {plain(stamp)}: the font has nothing to draw for {plain(lacking)}." if lacking else None


def _store(name: str, store: str) -> str | None:
    """A folder that is there, or whose parent is: no further one is made, lest a disk be filled that is not mounted."""
    folder = parse_address(store)
    if not isinstance(folder, Path):
        return None
    if not folder.parent.exists():
        return f"{name} = {plain(store)}: the folder {plain(folder.parent)} does not exist."
    return _folder(name, folder)


def _folder(name: str, folder: Path) -> str | None:
    """A folder that is there and can be written to, or that can be made."""
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(place))
    if not there.is_dir():
        return f"{name} = {plain(folder)}: {plain(there)} is not a folder."
    if not os.access(there, os.W_OK | os.X_OK):
        return f"{name} = {plain(folder)}: this user may not write in {plain(there)}."
    return None


def _log_file(file: Path | None) -> str | None:
    if file is None:
        return None
    if not file.parent.is_dir():
        return f"CCTV_LOG_FILE = {plain(file)}: the folder {plain(file.parent)} does not exist."
    if file.is_dir():
        return f"CCTV_LOG_FILE = {plain(file)}: is a folder, expected a file."
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        return f"CCTV_LOG_FILE = {plain(file)}: this user may not write it."
    return None


def _listen(listen: str) -> str | None:
    if not listen:
        return None
    host, port = parse_listen(listen)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except OSError as exc:
        return f"CCTV_LISTEN = {plain(listen)}: cannot listen there ({exc.strerror})."
    return None


def _control(control: Path) -> str | None:
    if not control.parent.is_dir():
        return f"CCTV_CONTROL = {plain(control)}: the folder {plain(control.parent)} does not exist."
    if os.path.lexists(control) and not stat.S_ISSOCK(control.lstat().st_mode):
        return f"CCTV_CONTROL = {plain(control)}: exists and is no socket."
    if not os.access(control.parent, os.W_OK):
        return f"CCTV_CONTROL = {plain(control)}: this user may not write in {plain(control.parent)}."
    return None
