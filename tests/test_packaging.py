"""What holds the parts together: locks, units and pages agree, stages keep apart, and nothing is caught in silence."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from needs import needs
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from cctv_images import __version__
from cctv_images.cli import build_parser
from cctv_images.settings import HIDDEN, NAMES

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "cctv_images"
SYSTEMD = ROOT / "systemd"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MODULES = {path.relative_to(SOURCE).as_posix(): ast.parse(path.read_text()) for path in SOURCE.rglob("*.py")}

STAGES = {"acquire", "process", "publish", "retain", "watch", "inventory", "simulate"}
SHARED = {
    "inventory.camera": "the row itself is what all stages speak of",
    "publish.store": "an archive is a store, and sync compares two",
    "publish.side": "what sync asks of a store besides",
}
DERIVED = {
    "acquire.recipes": "the zoo is derived from the table of makes",
    "inventory": "the zoo plays and writes inventories",
}
"""What simulate may read besides."""
COME_ALONG = {"botocore": "aiobotocore", "multidict": "aiohttp", "numpy": "simplejpeg", "yarl": "aiohttp"}
"""Parts of a dependency's own interface: module -> the distribution that brings it."""
BROAD = {
    "cli.py": (1, "the last boundary: an operator gets a sentence"),
    "worker.py": (2, "the cycle's net, and whatever a camera provokes becomes an error_state"),
    "acquire/acquirer.py": (1, "the one place where foreign exceptions become error_states"),
    "retain/ledger.py": (1, "a ledger that died in silence would be none"),
    "retain/intake.py": (1, "a thread that died in silence would lose all further pictures"),
    "process/fallback.py": (1, "whatever a name or a size provokes, people get an image"),
    "process/lane.py": (1, "a thread hands whatever happened to the one who asked"),
}
HOUSEHOLD = {"process_images.py", "watch/systemd.py"}
"""If a task in here dies, the process should."""


def imports(tree: ast.AST) -> Iterator[str]:
    """Everything imported, in full."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def pins(name: str) -> dict[str, str]:
    """distribution -> version, each held by at least one hash."""
    text = (ROOT / "requirements" / name).read_text()
    found = re.findall(r"^([\w.-]+)==(\S+) \\\n    --hash=sha256:[0-9a-f]{64}", text, re.MULTILINE)
    assert len(found) == len(re.findall(r"^[^ #\n]", text, re.MULTILINE)), f"{name}: a line without a pin or a hash"
    return {canonicalize_name(dist): version for dist, version in found}


def unit(name: str) -> dict[str, list[str]]:
    """Setting -> its values, in order."""
    lines = [line for line in (SYSTEMD / name).read_text().splitlines() if re.match(r"\w+=", line)]
    found: dict[str, list[str]] = {}
    for line in lines:
        key, _, value = line.partition("=")
        found.setdefault(key, []).append(value)
    return found


def environment() -> dict[str, str]:
    return dict(word.split("=", 1) for value in unit("cctv-images.service")["Environment"] for word in value.split())


# --- what is installed ---


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        ("run.txt", PROJECT["project"]["dependencies"] + PROJECT["build-system"]["requires"]),
        ("rtsp.txt", PROJECT["project"]["optional-dependencies"]["rtsp"]),
        ("alerts.txt", PROJECT["project"]["optional-dependencies"]["alerts"]),
        ("test.txt", PROJECT["project"]["optional-dependencies"]["test"]),
    ],
)
def test_the_lock_has_what_the_project_asks_for(lock: str, wanted: list[str]) -> None:
    locked = pins(lock)
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(locked[canonicalize_name(requirement.name)]), requirement


def test_tests_run_with_what_production_runs() -> None:
    for extra in ("rtsp.txt", "alerts.txt"):
        assert pins("run.txt").items() <= pins(extra).items() <= pins("test.txt").items()


def test_the_locks_name_no_place_of_this_or_that_machine() -> None:
    for lock in ("run.txt", "rtsp.txt", "alerts.txt", "test.txt"):
        text = (ROOT / "requirements" / lock).read_text()
        assert "://" not in text
        assert not re.search(r"(^|\s)/", text)


def test_every_library_that_is_imported_is_a_dependency_and_none_is_idle() -> None:
    dists = packages_distributions()
    ours = {"cctv_images", "__future__"}
    roots = {name.partition(".")[0] for tree in MODULES.values() for name in imports(tree)} - ours
    used = {canonicalize_name(COME_ALONG.get(root, dists[root][0])) for root in roots if root in dists}
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = PROJECT["project"]["dependencies"] + extras["rtsp"] + extras["alerts"]
    assert used == {canonicalize_name(Requirement(text).name) for text in wanted}


def test_the_version_is_one() -> None:
    assert PROJECT["project"]["version"] == __version__
    assert f"\n## {__version__}\n" in (ROOT / "CHANGELOG.md").read_text()


# --- systemd ---


def test_the_log_is_the_same_file_for_unit_rotation_and_group() -> None:
    log = environment()["CCTV_LOG_FILE"]
    assert log.startswith(f"/var/log/{unit('cctv-images.service')['LogsDirectory'][0]}/")
    assert f"\n{log} {{\n" in (SYSTEMD / "cctv-images.logrotate").read_text()
    assert re.search(rf"^f {log} 0640 cctv-images adm ", (SYSTEMD / "cctv-images.tmpfiles").read_text(), re.MULTILINE)


def test_the_socket_is_where_commands_look_for_an_installed_daemon() -> None:
    control = environment()["CCTV_CONTROL"]
    assert control.startswith(f"/run/{unit('cctv-images.service')['RuntimeDirectory'][0]}/")
    assert repr(control).replace("'", '"') in (SOURCE / "commands" / "control.py").read_text()


def test_unit_helper_and_page_name_the_same_settings_file() -> None:
    assert unit("cctv-images.service")["ExecStart"][0].endswith(" run --env-file /etc/cctv-images/config.env")
    assert "--env-file /etc/cctv-images/config.env " in (SYSTEMD / "cctv").read_text()
    assert " config.example.env /etc/cctv-images/config.env\n" in (ROOT / "docs" / "install.md").read_text()


def test_the_units_use_settings_that_exist() -> None:
    assert {name for name in environment() if name.startswith("CCTV_")} <= NAMES.keys()
    for credential in unit("secrets.conf.example")["LoadCredential"]:
        name, _, path = credential.partition(":")
        assert name in HIDDEN
        assert path == f"/etc/cctv-images/secrets/{name}"


def test_every_system_file_is_installed() -> None:
    said = (SYSTEMD / "install").read_text() + (ROOT / "docs" / "install.md").read_text()
    assert [path.name for path in SYSTEMD.iterdir() if f"{path.name} /" not in said] == ["install"]


def test_a_stop_is_given_more_time_than_it_takes_and_a_mistake_is_not_tried_again() -> None:
    service = unit("cctv-images.service")
    assert int(service["TimeoutStopSec"][0]) > 10
    assert service["RestartPreventExitStatus"] == ["78"]


@needs("systemd-analyze")
def test_systemd_finds_no_fault_in_the_unit_and_little_exposure(tmp_path: Path) -> None:
    text = (SYSTEMD / "cctv-images.service").read_text()
    here = tmp_path / "cctv-images.service"
    here.write_text(re.sub(r"^(Exec\w+=).*", r"\1/bin/true", text, flags=re.MULTILINE))
    for command in (["verify", "--man=no"], ["security", "--offline=true", "--threshold=19", "--no-pager"]):
        done = subprocess.run(["systemd-analyze", *command, here], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "cctv-images.service:" not in done.stderr


@needs("systemd-analyze")
@pytest.mark.parametrize("nightly", ["verify", "retention"])
def test_nightly_units_are_without_fault_and_run_commands_that_there_are(nightly: str, tmp_path: Path) -> None:
    paths = [tmp_path / f"cctv-images-{nightly}.{kind}" for kind in ("service", "timer")]
    for path in paths:
        text = (SYSTEMD / path.name).read_text()
        path.write_text(re.sub(r"^(ExecStart=).*", r"\1/bin/true", text, flags=re.MULTILINE))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *paths], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    (command,) = unit(f"cctv-images-{nightly}.service")["ExecStart"]
    parser, _ = build_parser()
    assert parser.parse_args(command.split()[1:]).command in ("ledger", "retention")
    (when,) = unit(f"cctv-images-{nightly}.timer")["OnCalendar"]
    subprocess.run(["systemd-analyze", "calendar", when], check=True, capture_output=True, timeout=60)


@needs("systemd-analyze")
def test_the_sync_unit_is_without_fault_and_as_closed_as_the_service(tmp_path: Path) -> None:
    paths = [tmp_path / f"cctv-images-sync.{kind}" for kind in ("service", "timer")]
    for path in paths:
        text = (SYSTEMD / path.name).read_text()
        path.write_text(re.sub(r"^(ExecStart=).*", r"\1/bin/true", text, flags=re.MULTILINE))
    for command in (["verify", "--man=no", *paths], ["security", "--offline=true", "--threshold=19", paths[0]]):
        done = subprocess.run(["systemd-analyze", *command], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
    (command,) = unit("cctv-images-sync.service")["ExecStart"]
    given = dict(
        line.split("=", 1) for line in (SYSTEMD / "sync.env.example").read_text().splitlines() if "#" not in line
    )
    words = command.replace("$SYNC_OPTIONS", given["SYNC_OPTIONS"]).split()[1:]
    parser, _ = build_parser()
    parsed = parser.parse_args([given.get(word.strip("${}"), word) for word in words])
    assert (parsed.source, parsed.source_profile) == ("s3://old-archive", "old")
    assert parsed.env_file == "/etc/cctv-images/config.env"


@pytest.mark.parametrize("script", ["systemd/install", "systemd/cctv", "requirements/update", ".ci/run"])
def test_scripts_can_be_read_by_their_shell(script: str) -> None:
    path = ROOT / script
    shell = path.read_text().splitlines()[0].removeprefix("#!").split()
    assert path.stat().st_mode & 0o111
    subprocess.run([*shell, "-n", path], check=True)


# --- the code ---


def test_stages_do_not_import_each_other() -> None:
    crossings = []
    for module, tree in MODULES.items():
        stage = module.partition("/")[0]
        allowed = SHARED | DERIVED if stage == "simulate" else SHARED
        for name in imports(tree) if stage in STAGES else ():
            inner = name.removeprefix("cctv_images.")
            other = inner.partition(".")[0]
            if (
                inner != name
                and other in STAGES - {stage}
                and not any(f"{inner}.".startswith(f"{a}.") for a in allowed)
            ):
                crossings.append(f"{module} imports {name}")
    assert crossings == []


def test_no_stage_knows_the_service_or_the_commands() -> None:
    above = {"process_images", "worker", "roster", "removals", "parts", "commands", "cli", "settings"}
    for module, tree in MODULES.items():
        if module.partition("/")[0] in STAGES:
            inner = {name.split(".")[1] for name in imports(tree) if name.startswith("cctv_images.")}
            assert not inner & above, module


def test_what_swallows_every_exception_is_counted_and_argued() -> None:
    found = Counter(
        module
        for module, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler) and _is_broad(node) and not _passes_on(node)
    )
    assert found == {module: count for module, (count, _) in BROAD.items()}


def _is_broad(handler: ast.ExceptHandler) -> bool:
    named = (
        {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)} if handler.type else {"Exception"}
    )
    return bool(named & {"Exception", "BaseException"})


def _passes_on(handler: ast.ExceptHandler) -> bool:
    return any(isinstance(node, ast.Raise) and node.exc is None for node in ast.walk(handler))


def test_nothing_suppresses_exceptions_wholesale() -> None:
    for module, tree in MODULES.items():
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            said = ast.unparse(call)
            assert not re.match(r"(contextlib\.)?suppress\(.*\b(Base)?Exception\b", said), f"{module}: {said}"
            assert "return_exceptions=True" not in said, f"{module}: {said}"


def test_only_the_household_dies_together() -> None:
    """A task group ends all when one fails: right for the service's own chores, wrong for cameras."""
    using = {module for module, tree in MODULES.items() if _names(tree) & {"TaskGroup"}}
    assert using == HOUSEHOLD


def test_no_wait_swallows_a_cancel() -> None:
    """asyncio.wait_for does, in Python 3.11."""
    assert not [module for module, tree in MODULES.items() if "wait_for" in _names(tree)]


def _names(tree: ast.AST) -> set[str]:
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return attributes | {name.rpartition(".")[2] for name in imports(tree)}
