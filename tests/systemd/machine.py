"""A Debian with a real systemd in a container (debootstrap, systemd-nspawn), on this machine's loopback. Needs root.

The root is made once and kept (BOOT_ROOT, else the cache folder); what happens in a machine goes to an overlay in
memory. Not enforced in here, for want of writable cgroups: MemoryMax=, TasksMax=.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

SUITE = "bookworm"
PACKAGES = "ca-certificates,dbus,logrotate,procps,python3,python3-venv,systemd,systemd-sysv"
ROOTS_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BOOT_S = 60.0
POWEROFF_S = 30.0


def cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cctv-images"


def debian_root() -> Path:
    """The root that is there, else a new one: about a minute, 300 MB."""
    root = Path(os.environ.get("BOOT_ROOT") or cache_folder() / SUITE)
    if not root.is_dir():
        making = root.with_name(root.name + ".making")
        shutil.rmtree(making, ignore_errors=True)
        making.parent.mkdir(parents=True, exist_ok=True)
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, making, *_mirror()]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        making.rename(root)
    return root


def _mirror() -> list[str]:
    """Where this machine has its packages from, if it says so."""
    asked = ["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages", f"Codename: {SUITE}"]
    answer = subprocess.run(asked, check=False, capture_output=True, text=True)
    return answer.stdout.split()[:1]


class CommandFailed(Exception):
    """A command in the machine did not end as it should."""


class Machine:
    """with Machine(binds) as machine: machine.run("systemctl status ...")"""

    def __init__(self, binds: Mapping[Path, str]) -> None:
        """binds: folders of this machine -> where they are read in that one."""
        self._binds = [f"--bind-ro={ours}:{theirs}" for ours, theirs in binds.items()]

    def __enter__(self) -> Machine:
        root = debian_root()
        options = ["-q", "--volatile=overlay", "--register=no", "--keep-unit", "--machine=cctv-boot", *self._binds]
        self._nspawn = subprocess.Popen(
            ["systemd-nspawn", "-D", root, *options, "--boot"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            self._wait_for_boot()
        except BaseException:
            self._nspawn.terminate()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Off, one way or the other."""
        try:
            self.run("systemctl poweroff", code=None)
            self._nspawn.wait(POWEROFF_S)
        except (CommandFailed, subprocess.TimeoutExpired):
            self._nspawn.terminate()
            self._nspawn.wait(POWEROFF_S)

    def _wait_for_boot(self) -> None:
        end = time.monotonic() + BOOT_S
        while time.monotonic() < end and self._nspawn.poll() is None:
            children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children").read_text().split()
            if children:
                self._leader = children[0]
                if self.run("systemctl is-system-running --wait", code=None).strip() in ("running", "degraded"):
                    return
            time.sleep(0.1)
        raise CommandFailed(f"the machine did not boot within {BOOT_S:.0f} s")

    def run(self, script: str, *, code: int | None = 0, limit_s: float = 180.0, **env: str) -> str:
        """What a shell script prints in there, standard error included. code: expected; None = any."""
        enter = ["nsenter", "-t", self._leader, *["-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w"], "--", "env", "-i"]
        settings = {"PATH": ROOTS_PATH, "HOME": "/root", "LANG": "C.UTF-8"} | env
        command = [*enter, *(f"{name}={value}" for name, value in settings.items()), "bash", "-euc", script]
        done = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=limit_s,
        )
        if code is not None and done.returncode != code:
            raise CommandFailed(f"ended with {done.returncode} instead of {code}:\n{script}\n{done.stdout}")
        return done.stdout
