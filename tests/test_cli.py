"""Words on the command line, and the settings that a tired operator mistypes: sentences and exit codes."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from program import BARE, COMMAND, Program

from cctv_images import __version__
from cctv_images.cli import COMMANDS

ROW = "camera_id,address,model\n1,127.0.0.1:9,pelco\n"


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """A program whose settings are all in order."""
    (tmp_path / "cameras.csv").write_text(ROW)
    env = {"CCTV_INVENTORY": "cameras.csv", "CCTV_STORE": f"file://{tmp_path}/store", "CCTV_LISTEN": ""}
    return Program(tmp_path, env)


# --- words --------------------------------------------------------------------------------------------------------


async def test_without_a_command_the_overview_is_shown_and_the_code_is_2(program: Program) -> None:
    done = await program()
    assert (done.code, done.out) == (2, "")
    assert all(f"    {command.name} " in done.err for command in COMMANDS)


async def test_the_version_is_told(program: Program) -> None:
    assert (await program("--version")).out == f"cctv-images {__version__}\n"


@pytest.mark.parametrize("name", [command.name for command in COMMANDS])
async def test_every_command_explains_itself_with_examples_and_exit_codes(program: Program, name: str) -> None:
    done = await program(name, "--help")
    assert (done.code, done.err) == (0, "")
    for part in ("Examples:\n  ", "Exit codes: 0 success", "78 a mistake", "--env-file"):
        assert part in done.out.replace("\n", " ") or part in done.out
    assert max(map(len, done.out.splitlines())) <= 110


def test_help_and_typing_errors_import_nothing_heavy() -> None:
    code = (
        "import sys; from cctv_images.cli import main; main(['check', '--help']); main(['chek']);"
        "print([m for m in ('pydantic', 'aiohttp', 'rich', 'structlog', 'PIL', 'asyncio') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("stauts", 'there is no command "stauts"; did you mean status?'),
        ("frobnicate", 'there is no command "frobnicate".'),
        ("check --onlin", '"--onlin" is not understood here; did you mean --online?'),
        ("run --interval 60", '"--interval" is not understood here.'),
        ("--jsno status", '"--jsno"'),
        ("probe", "probe takes a CAMERA_ID of the inventory, or --address"),
        ("probe 1 --address 10.0.0.1", "probe takes a CAMERA_ID of the inventory, or --address"),
        ("probe 1 2", '"2" is not understood here.'),
        ("revive", "revive takes camera ids, or --all."),
        ("revive 1 --all", "revive takes camera ids, or --all."),
        ("demo --cameras 0", "expected a number from 1 to 20000"),
        ("demo --cameras many", "expected a number from 1 to 20000"),
        ("simulate --port 99999", "expected a port from 0 to 65535"),
        ("simulate --sick 2", "expected a number from 0 to 1"),
        ("simulate --cameras 3 --inventory x.csv", "not allowed with argument"),
        ("check --env-file", "expected one argument"),
    ],
)
async def test_wrong_words_get_one_sentence_and_code_2(program: Program, words: str, sentence: str) -> None:
    done = await program(*words.split())
    assert (done.code, done.out) == (2, "")
    assert sentence in done.lines[0]
    assert done.lines[0].startswith("cctv-images: ")
    assert re.fullmatch(r"Try: cctv-images( \w+)? --help", done.lines[1])
    assert len(done.lines) == 2


@pytest.mark.parametrize("words", [["--env-file", "my.env", "check"], ["check", "--env-file", "my.env"]])
async def test_the_env_file_may_be_named_before_and_after_the_command(program: Program, words: list[str]) -> None:
    (program.folder / "my.env").write_text("CCTV_INTERVAL=123\n")
    assert "every 123s" in (await program(*words)).out


async def test_a_dotenv_file_in_the_folder_is_found(program: Program) -> None:
    (program.folder / ".env").write_text("CCTV_INTERVAL=7m\n")
    done = await program("check")
    assert "every 7m" in done.out
    assert str(program.folder / ".env") in done.out


# --- settings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["run", "check", "run --once", "check --online"])
async def test_nothing_configured_is_told_in_two_sentences_and_code_78(tmp_path: Path, command: str) -> None:
    done = await Program(tmp_path)(*command.split())
    assert done.code == 78
    assert done.lines == [
        "cctv-images: 2 mistakes in the configuration:",
        "  CCTV_INVENTORY is not set: expected path or http(s) address of the camera list.",
        "  CCTV_STORE is not set: expected s3://bucket[/prefix] or file:///folder.",
    ]


async def test_all_mistakes_are_told_in_one_go_and_nothing_is_asked_or_made(program: Program) -> None:
    (program.folder / ".env").write_text("CCTV_TIMEOUT=10 sec\nCCTV_CAMERA_PASWORD=geheim\n")
    done = await program("run", CCTV_INTERVAL="0", CCTV_STORE="s3//bucket", CCTV_CREDENTIALS="{geheim}")
    assert (done.code, done.out) == (78, "")
    assert done.lines[0] == "cctv-images: 5 mistakes in the configuration:"
    assert [line.split()[0] for line in done.lines[1:]] == [
        "CCTV_CAMERA_PASWORD", "CCTV_STORE", "CCTV_INTERVAL", "CCTV_TIMEOUT", "CCTV_CREDENTIALS",
    ]  # fmt: skip
    assert "geheim" not in done.err
    assert {path.name for path in program.folder.iterdir()} == {"cameras.csv", ".env"}


IN_SETTINGS = [
    ("CCTV_INTERVAL", "0", "expected a duration between 1s and 1d"),
    ("CCTV_TIMEOUT", "10m", "expected no more than the interval, which is 5m"),
    ("CCTV_INTERVAL", "60", "expected no more than the interval, which is 1m; lower CCTV_TIMEOUT (to 19s)"),
    ("CCTV_STORE", "s3:/bucket", "did you mean s3://bucket?"),
    ("CCTV_STORE", "/srv/pictures", "did you mean file:///srv/pictures?"),
    ("CCTV_INVENTORY", "camera.csv", "there is no such file in "),
    ("CCTV_INVENTORY", ".", "is a folder, expected a file"),
    ("CCTV_INVENTORY", "https://u:geheim@lists.example/x", "no user name or password in the address"),
    ("CCTV_LISTEN", "8080", "did you mean 127.0.0.1:8080?"),
    ("CCTV_LOG_LEVEL", "verbose", "expected debug, info, warning or error"),
    ("CCTV_ARCHIVE", "s3:/bucket", "did you mean s3://bucket?"),
    ("CCTV_SPOOL_FULL", "both", "expected newest or oldest"),
    ("CCTV_INTERVALL", "60", "did you mean CCTV_INTERVAL?"),
    ("CREDENTIALS_DIRECTORY", "/no/such", "cannot be read"),
]
AROUND_US = [
    ("CCTV_LOG_FILE", "/no/such/folder/cctv.log", "the folder /no/such/folder does not exist"),
    ("CCTV_FALLBACK_IMAGE", "cameras.csv", "is not a JPEG"),
    ("CCTV_FALLBACK_IMAGE", "missing.jpg", "cannot be read"),
    ("CCTV_STATE_DIR", "cameras.csv", "CCTV_STATE_DIR = cameras.csv"),
    ("CCTV_CONTROL", "cameras.csv", "no socket"),
    ("CCTV_CONTROL", "no/such/control.sock", "CCTV_CONTROL"),
    ("CCTV_EXPECT_FINGERPRINT", "0123456789ab", "the effective settings have"),
]


@pytest.mark.parametrize(("name", "value", "expected"), [*IN_SETTINGS, *AROUND_US])
async def test_check_names_a_mistyped_setting(program: Program, name: str, value: str, expected: str) -> None:
    done = await program("check", **{name: value})
    assert expected in done.err, done
    assert done.code == 78
    assert "geheim" not in done.err


@pytest.mark.parametrize(("name", "value", "expected"), [IN_SETTINGS[0], *AROUND_US])
async def test_run_ends_on_what_check_would_have_named(program: Program, name: str, value: str, expected: str) -> None:
    done = await program("run", **{name: value})
    assert expected in done.err, done
    assert done.code == 78


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty"),
        (b"\xff\xfe\0c", "save it as UTF-8"),
        (b"{ not json", "JSON"),
        (b"id;address;model\n1;10.0.0.1;pelco\n", "no camera_id column"),
    ],
)
@pytest.mark.parametrize("command", ["check", "run"])
async def test_an_inventory_that_is_none_ends_check_and_run_with_78(
    program: Program, command: str, content: bytes, expected: str
) -> None:
    (program.folder / "cameras.csv").write_bytes(content)
    done = await program(command)
    assert done.code == 78, done
    assert expected.lower() in done.err.lower()


async def test_a_hundred_megabytes_are_no_inventory(program: Program) -> None:
    with (program.folder / "cameras.csv").open("wb") as file:
        file.truncate(100_000_000)
    done = await program("check")
    assert done.code == 78
    assert "larger than" in done.err


async def test_a_port_in_use_is_named(program: Program) -> None:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    async with server:
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for command in ("check", "run"):
            done = await program(command, CCTV_LISTEN=address)
            assert done.code == 78, done
            assert "CCTV_LISTEN" in done.err
            assert "in use" in done.err


async def test_a_reader_that_has_seen_enough_is_no_trouble(program: Program) -> None:
    env = BARE | program.env
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [*COMMAND, "check"],
            stdout=write,
            stderr=subprocess.PIPE,
            cwd=program.folder,
            env=env,
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")


async def test_a_terminal_that_cannot_show_a_character_gets_its_escape(program: Program) -> None:
    (program.folder / "cameras.csv").write_text("camera_id,address,model\nké,10.0.0.1,pelco\n")
    done = await program("check", PYTHONIOENCODING="ascii")
    assert done.code == 1
    assert "k\\xe9" in done.out
