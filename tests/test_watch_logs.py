"""The log: what a line looks like, what never gets into it, and what becomes of it when the disk misbehaves."""

import asyncio
import base64
import json
import logging
import os
import stat
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest
import structlog
from pydantic import BaseModel, SecretStr

from cctv_images.errors import ConfigError, ErrorState
from cctv_images.watch.logs import configure_logging, hide_secrets
from cctv_images.watch.output import FileSink, Writer
from cctv_images.watch.redact import Redactor


@dataclass
class Settings:
    log_file: Path | None
    log_format: str = "text"
    log_level: str = "info"
    camera_password: SecretStr = field(default=SecretStr("unused-here"))


Lines = Callable[[], list[str]]


@pytest.fixture
def configure(tmp_path: Path) -> Iterator[Callable[..., Lines]]:
    """configure(format, level) -> a callable that returns the lines written so far."""
    writers: list[Writer] = []
    path = tmp_path / "cctv.log"

    def start(log_format: str = "text", log_level: str = "info") -> Lines:
        writer = configure_logging(Settings(path, log_format, log_level))
        writers.append(writer)

        def lines() -> list[str]:
            writer.flush()
            return path.read_text().splitlines()

        return lines

    yield start
    for writer in writers:
        writer.close()
    structlog.reset_defaults()
    root = logging.getLogger()
    for handler in [h for h in root.handlers if type(h).__name__ == "_LibraryHandler"]:
        root.removeHandler(handler)
    logging.captureWarnings(False)


def camera_failing(**more: object) -> None:
    structlog.get_logger().warning(
        "camera_failing", failures=1, error_state=ErrorState.TIMEOUT, model="Sarix", camera_id="134", **more
    )


def test_a_text_line_has_time_level_event_and_the_camera_fields_in_a_fixed_order(
    configure: Callable[..., Lines],
) -> None:
    lines = configure()
    camera_failing(health="failing", detail="no answer within 30 s", took=1.23456)
    stamp, rest = lines()[0].split(" ", 1)
    assert stamp.endswith("Z")
    assert len(stamp) == len("2026-03-01T12:00:00Z")
    assert rest == (
        "warning camera_failing       camera_id=134 model=Sarix health=failing error_state=timeout failures=1"
        ' detail="no answer within 30 s" took=1.235'
    )


def test_text_lines_stay_aligned_whatever_the_level(configure: Callable[..., Lines]) -> None:
    lines = configure(log_level="debug")
    log = structlog.get_logger()
    for level in ("debug", "info", "warning", "error"):
        getattr(log, level)("summary", ok=1)
    assert {line.index("ok=1") for line in lines()} == {50}


def test_a_json_line_is_one_object_with_utc_time(configure: Callable[..., Lines]) -> None:
    lines = configure("json")
    camera_failing(detail=None, position=[30.25, -97.75])
    line = json.loads(lines()[0])
    assert line["timestamp"].endswith("Z")
    assert (line["level"], line["event"], line["error_state"], line["detail"], line["position"]) == (
        "warning",
        "camera_failing",
        "timeout",
        None,
        [30.25, -97.75],
    )


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize(
    "nasty",
    ["a\nb", "a\rb", "\x1b[31mred", "\x00", "\x9b2J", "‮evil", "\udc80\ud800", "x\u2028y", "emoji 🎥", "l" * 5_000],
)
def test_no_text_breaks_colours_or_fills_the_log(configure: Callable[..., Lines], log_format: str, nasty: str) -> None:
    lines = configure(log_format)
    camera_failing(detail=nasty, server={"realm": nasty, nasty: 1}, many=[nasty] * 3)
    (line,) = lines()
    assert line.isprintable()
    assert len(line) < 2_000
    if log_format == "json":
        assert len(json.loads(line)["detail"]) <= 200


def test_values_with_blanks_quotes_or_nothing_in_them_are_quoted(configure: Callable[..., Lines]) -> None:
    lines = configure()
    structlog.get_logger().info("summary", a="two words", b='say "hi"', c="", d="plain", e="k=v", f=None, g=True)
    assert lines()[0].endswith(r'a="two words" b="say \"hi\"" c="" d=plain e="k=v" f=null g=true')


def test_lines_below_the_level_are_not_written(configure: Callable[..., Lines]) -> None:
    lines = configure(log_level="warning")
    structlog.get_logger().info("summary")
    structlog.get_logger().debug("picture_published")
    assert lines() == []


def test_a_secret_never_reaches_the_log_in_any_spelling(configure: Callable[..., Lines]) -> None:
    secret = "p@ss/w0rd+ü?"
    lines = configure("json")
    hide_secrets({"cameras": [SecretStr(secret)]})
    for user in ("admin", "roots", "viewer"):
        basic = base64.b64encode(f"{user}:{secret}".encode()).decode()
        camera_failing(detail=f"sent Basic {basic} to it", seen=[secret, {"url": f"/?pwd={quote(secret, safe='')}"}])
        structlog.get_logger().info("summary", url=f"http://x/{quote(secret)}")
    text = "\n".join(lines())
    assert "***" in text
    for spelling in (secret, quote(secret), quote(secret, safe=""), "w0rd"):
        assert spelling not in text
    middle = base64.b64encode(secret.encode()).decode()[4:10]
    assert middle not in text


def test_the_secrets_of_the_settings_are_hidden_from_the_start(tmp_path: Path, configure: Callable[..., Lines]) -> None:
    class Login(BaseModel):
        username: str
        password: SecretStr

    class All(BaseModel):
        log_file: Path
        log_format: str = "text"
        log_level: str = "info"
        credentials: dict[str, Login]
        inventory_headers: SecretStr

    configure()
    path = tmp_path / "other.log"
    writer = configure_logging(
        All(
            log_file=path,
            credentials={"wisenet": Login(username="viewer", password=SecretStr("canary-one"))},
            inventory_headers=SecretStr('{"X-Knack-REST-API-Key": "canary-two"}'),
        )
    )
    structlog.get_logger().info("summary", detail="canary-one canary-two viewer")
    writer.close()
    assert "canary" not in path.read_text()
    assert "viewer" in path.read_text()


def test_a_camera_keeps_its_id_in_the_log_although_it_is_somebodys_password(configure: Callable[..., Lines]) -> None:
    lines = configure()
    hide_secrets("1342")
    structlog.get_logger().info("camera_failing", camera_id="1342", detail="PIN 1342")
    assert 'camera_id=1342 detail="PIN ***"' in lines()[0]


def test_short_secrets_do_not_strike_out_half_of_every_line() -> None:
    redactor = Redactor()
    redactor.hide(["", "a", "123"])
    assert redactor.scrub("a123") == "a123"


def test_an_exception_is_told_by_type_and_way_without_message_and_locals(configure: Callable[..., Lines]) -> None:
    lines = configure(log_level="debug")
    password = "hunter-two"
    try:
        raise ValueError(f"http://admin:{password}@10.0.0.1/")
    except ValueError as exc:
        structlog.get_logger().debug("attempt_failed", exc_info=True, error=exc)
    (line,) = lines()
    assert "error=ValueError exception=ValueError" in line
    assert "test_watch_logs.py" in line
    assert "hunter" not in line


def test_libraries_speak_plainly_and_only_from_warning_up(configure: Callable[..., Lines]) -> None:
    lines = configure(log_level="debug")
    library = logging.getLogger("aiohttp.somewhere")
    library.info("chatter")
    library.warning("bad\x1b thing at http://admin:secretword@10.0.0.1/x?user=a&pwd=b\nsecond line")
    (line,) = lines()
    assert "library_message" in line
    assert "library=aiohttp.somewhere" in line
    assert "http://10.0.0.1/x?…" in line
    assert not {"secretword", "pwd", "second", "chatter"} & set(line.replace("=", " ").split())


def test_a_library_that_repeats_itself_is_heard_once_a_minute(configure: Callable[..., Lines]) -> None:
    lines = configure()
    for number in range(100):
        logging.getLogger("botocore").error("attempt %d", number)
    assert len(lines()) == 1


async def test_a_task_that_dies_unseen_becomes_a_line(configure: Callable[..., Lines]) -> None:
    lines = configure()

    async def dies() -> None:
        raise ValueError("password=hunter-two")

    task = asyncio.create_task(dies(), name="camera 134")
    await asyncio.sleep(0.01)
    del task
    (line,) = lines()
    assert 'message="Task exception was never retrieved" task="camera 134" exception=ValueError' in line
    assert "hunter" not in line


def test_the_log_file_is_created_for_owner_and_group_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        FileSink(tmp_path / "cctv.log").close()
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "cctv.log").stat().st_mode) == 0o640


def test_a_log_file_in_a_missing_folder_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"CCTV_LOG_FILE.*folder .*nowhere does not exist"):
        configure_logging(Settings(tmp_path / "nowhere" / "cctv.log"))


def test_a_log_file_that_is_a_folder_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"CCTV_LOG_FILE.*directory"):
        configure_logging(Settings(tmp_path))


def test_no_line_is_lost_when_logrotate_renames_the_file(tmp_path: Path) -> None:
    path = tmp_path / "cctv.log"
    writer = Writer(FileSink(path), str)
    for number in range(3_000):
        writer.put(f"line {number}")
        if number % 500 == 250:
            writer.flush()
            path.rename(tmp_path / f"cctv.log.{number}")
            if number % 1_000 == 250:
                path.touch()
    writer.close()
    written = [line for file in tmp_path.iterdir() for line in file.read_text().splitlines()]
    assert sorted(written) == sorted(f"line {number}" for number in range(3_000))
    assert len(list(tmp_path.iterdir())) == 7


def test_after_copytruncate_the_file_begins_anew_without_a_hole(tmp_path: Path) -> None:
    path = tmp_path / "cctv.log"
    writer = Writer(FileSink(path), str)
    writer.put("before")
    writer.flush()
    os.truncate(path, 0)
    writer.put("after")
    writer.close()
    assert path.read_bytes() == b"after\n"


class FullDisk:
    """Takes `room` bytes, then ENOSPC until more room is made."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.data = b""

    def write(self, data: memoryview) -> int:
        if self.room == 0:
            raise OSError(28, "No space left on device")
        taken = bytes(data[: self.room])
        self.room -= len(taken)
        self.data += taken
        return len(taken)

    def close(self) -> None:
        pass


def test_a_full_disk_costs_lines_one_notice_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    disk = FullDisk(room=14)
    writer = Writer(disk, lambda count: f"{count} lines are missing")
    for number in range(5):
        writer.put(f"line {number}")
    writer.flush()
    disk.room = 1_000
    writer.put("line 5")
    writer.close()
    assert disk.data.decode().splitlines() == ["line 0", "line 1", "3 lines are missing", "line 5"]
    notice = capsys.readouterr().err
    assert notice.count("\n") == 1
    assert "No space left on device; the service goes on" in notice


def test_a_line_torn_by_a_full_disk_does_not_spoil_the_next(capsys: pytest.CaptureFixture[str]) -> None:
    disk = FullDisk(room=10)
    writer = Writer(disk, str)
    writer.put("line 0")
    writer.put("line 1")
    writer.flush()
    disk.room = 1_000
    writer.put("line 2")
    writer.close()
    assert disk.data.decode().splitlines() == ["line 0", "lin", "1", "line 2"]
    assert "service goes on" in capsys.readouterr().err


class StalledDisk(FullDisk):
    def __init__(self) -> None:
        super().__init__(10**9)
        self.answers = threading.Event()

    def write(self, data: memoryview) -> int:
        self.answers.wait()
        return super().write(data)


def test_a_stalled_disk_holds_up_nobody_and_the_missing_lines_are_counted() -> None:
    disk = StalledDisk()
    writer = Writer(disk, lambda count: f"{count} lines are missing", limit=100)
    for number in range(1_000):
        writer.put(f"line {number}")
    disk.answers.set()
    writer.flush()
    writer.put("afterwards")
    writer.close()
    lines = disk.data.decode().splitlines()
    missing = sum(int(line.split()[0]) for line in lines if line.endswith("missing"))
    assert missing + sum(line.startswith("line ") for line in lines) == 1_000
    assert missing >= 890
    assert lines[-1] == "afterwards"


PROGRAM = """
    import sys, structlog
    from types import SimpleNamespace
    from cctv_images.watch.logs import configure_logging
    configure_logging(SimpleNamespace(log_file=None, log_format=sys.argv[1], log_level="info"))
    structlog.get_logger().info("summary", ok=3)
"""


def run_program(log_format: str, out: Path, journal: bool) -> str:
    with out.open("w") as stdout:
        stat_ = os.fstat(stdout.fileno())
        environment = {**os.environ, "JOURNAL_STREAM": f"{stat_.st_dev}:{stat_.st_ino}" if journal else "1:2"}
        command = [sys.executable, "-c", textwrap.dedent(PROGRAM), log_format]
        subprocess.run(command, stdout=stdout, env=environment, check=True, timeout=60)
    return out.read_text()


def test_without_a_log_file_lines_go_to_stdout_and_none_is_lost_at_the_end(tmp_path: Path) -> None:
    line = run_program("text", tmp_path / "out", journal=False)
    assert line.split("Z ", 1)[1] == "info    summary              ok=3\n"


def test_under_the_journal_text_has_no_second_timestamp_but_json_keeps_its_own(tmp_path: Path) -> None:
    assert run_program("text", tmp_path / "a", journal=True) == "info    summary              ok=3\n"
    assert "timestamp" in json.loads(run_program("json", tmp_path / "b", journal=True))
