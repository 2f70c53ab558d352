"""The commands' names, arguments and help. What they do is in commands/, imported only when one of them is called."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from typing import Any, NoReturn, TextIO

from cctv_images import __version__, cli_sync
from cctv_images.commands import CommandError
from cctv_images.errors import EX_BAD, EX_CONFIG, EX_OK, EX_USAGE, ConfigError, plain

PROGRAM = "cctv-images"
EX_INTERRUPTED = 130
CODES = "Exit codes: 0 success · 1 {bad} · 2 wrong usage · 78 a mistake in the configuration."


@dataclass(frozen=True, slots=True)
class Command:
    name: str
    does: str
    """One line for the overview."""
    explains: str
    examples: str
    bad: str
    """What exit code 1 means."""
    arguments: Callable[[argparse.ArgumentParser], None] = lambda parser: None
    where: str = ""
    """Module in commands/, when it is not named like the command. Its function is named like the command."""

    def run(self, args: argparse.Namespace) -> int:
        module = importlib.import_module(f"cctv_images.commands.{self.where or self.name}")
        code: int = getattr(module, self.name)(args)
        return code


def _json(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of a table")


def _run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--once", action="store_true", help="one cycle per camera, all at once, then exit")


def _demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cameras", type=_count, default=60, metavar="N", help="how many to simulate (default: 60)")


def _check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--online", action="store_true", help="also try the store, and ask every camera once")
    parser.add_argument("--alert", action="store_true", help="also send a test message to CCTV_ALERT_URLS")
    parser.add_argument("--find", action="store_true", help="with --online: try all makes where a camera is not found")
    parser.add_argument("--csv", metavar="FILE", help="with --find: write the cameras whose make is another to FILE")
    _json(parser)


def _probe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("camera_id", nargs="?", metavar="CAMERA_ID", help="a camera of the inventory")
    parser.add_argument("--address", metavar="A", help="host, host:port or URL of a camera in no inventory")
    parser.add_argument("--model", metavar="M", help="its make or model, as inventories spell it")
    parser.add_argument("--find", action="store_true", help="try all makes: which one answers?")
    parser.add_argument("--credentials", metavar="C", help="name in CCTV_CREDENTIALS of the login to offer")
    parser.add_argument("-o", "--output", metavar="FILE", help="write the picture, as it would be published, to FILE")
    parser.add_argument("--masks", action="store_true", help="outline the privacy masks on the picture in FILE")
    _json(parser)


def _revive(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("camera_ids", nargs="*", metavar="CAMERA_ID")
    parser.add_argument("--all", action="store_true", help="all disabled cameras")
    parser.add_argument(
        "--offer-login", action="store_true", help="forget refused logins of these cameras: offer the login again now"
    )


def _reload(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--force", action="store_true", help="even if more than a fifth of the cameras would go")


def _simulate(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--cameras", type=_count, metavar="N", help="how many to simulate (default: each make and each fault once)"
    )
    what.add_argument("--inventory", metavar="FILE", help="play the cameras of this list instead")
    parser.add_argument("-o", "--output", metavar="FILE", help="write the list with the simulated addresses to FILE")
    parser.add_argument("--port", type=_port, default=0, metavar="PORT", help="of all cameras (default: a free one)")
    parser.add_argument(
        "--sick", type=_share, default=0.2, metavar="SHARE", help="share of sick cameras, 0 to 1 (default: 0.2)"
    )
    parser.add_argument("--static", action="store_true", help="one prepared picture for all: costs the least")


def _ledger(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", choices=("verify",), help="compare a day with what the archive lists")
    parser.add_argument("--date", type=_day, metavar="D", help="YYYY-MM-DD (UTC), today or yesterday")
    parser.add_argument("--camera", metavar="ID", help="one camera, all days")
    form = parser.add_mutually_exclusive_group()
    _json(form)
    form.add_argument("--csv", action="store_true", help="print comma-separated values instead of a table")


def _retention(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="only say what would go")
    parser.add_argument("--force", action="store_true", help="all that is due, not only the two oldest days")


def _day(text: str) -> date:
    today = datetime.now(UTC).date()
    named = {"today": today, "yesterday": today - timedelta(days=1)}
    try:
        return named.get(text) or date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f'"{text}": expected YYYY-MM-DD, today or yesterday') from None


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 20_000:
        raise argparse.ArgumentTypeError(f'"{text}": expected a number from 1 to 20000')
    return int(text)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f'"{text}": expected a port from 0 to 65535')
    return int(text)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f'"{text}": expected a number from 0 to 1')
    return share


COMMANDS = (
    Command(
        "run",
        "the daemon: one looping task per camera",
        "Asks every camera of the inventory for a still at its interval, checks that it is a whole picture, and "
        "publishes it to the store; a camera that fails shows the fallback image. Runs until SIGTERM or Ctrl-C and "
        "reads inventory and logins again on SIGHUP. With --once it makes one cycle per camera at once and exits.",
        "cctv-images run --env-file /etc/cctv-images/cctv.env\ncctv-images run --once",
        "it could not start, or with --once: the store did not take everything",
        _run,
    ),
    Command(
        "demo",
        "the daemon over simulated cameras; needs nothing configured",
        "Simulates cameras of every make, some of them sick, each at its own loopback address; publishes their "
        "pictures into ./demo/store every ten seconds; shows them on http://127.0.0.1:8080. Your settings are left "
        "alone, but for CCTV_LISTEN, CCTV_INTERVAL, CCTV_LOG_FORMAT and CCTV_LOG_LEVEL from the environment. "
        "`cctv-images status` in the same folder shows the cameras, too. Ctrl-C ends everything.",
        "cctv-images demo\ncctv-images demo --cameras 200\nCCTV_LISTEN=127.0.0.1:8081 cctv-images demo",
        "it could not start",
        _demo,
    ),
    Command(
        "check",
        "names every mistake in settings and inventory",
        "Reads settings, inventory and fallback image as `run` would and names each mistake with its line. Touches "
        "neither cameras nor store, unless --online is given: then it writes, reads and deletes a canary object in "
        "the store and asks every camera once (within the limits on logins that also hold for the daemon). With "
        "--find it tries the other makes on every camera that answers not_found, and says which one it is; the "
        "inventory is yours to correct.",
        "cctv-images check\ncctv-images check --online\ncctv-images check --online --json > report.json\n"
        "cctv-images check --online --find --csv corrections.csv",
        "rows of the inventory were rejected, a test message was not taken, or with --online: store or cameras failed",
        _check,
    ),
    Command(
        "probe",
        "asks one camera once and explains what happened",
        "Shows the request (without password), the steps of the login, the time of each phase, the picture's size, "
        "and on failure the error_state and what to do about it. A refused login counts as one of the two that are "
        "allowed within an hour, together with the daemon's: CCTV_STATE_DIR must be the daemon's. With --find it "
        "tries the makes one after the other, without a login first, and prints the inventory's line for the one that "
        "answers. What is written with -o has the camera's masks, which belong to its id: with --address there are "
        "none. --masks outlines them and marks the tenths of width and height.",
        "cctv-images probe CCTV-0171\ncctv-images probe CCTV-0171 -o still.jpg --masks\n"
        "cctv-images probe --address 10.20.3.4 --model 'Spectra Enhanced'\n"
        "cctv-images probe --address 10.20.3.4 --find --credentials wisenet",
        "the camera gave no picture",
        _probe,
    ),
    Command(
        "status",
        "a table of all cameras of the running daemon",
        "Asks the daemon on its control socket (CCTV_CONTROL). The cameras in the worst health come first.",
        "cctv-images status\ncctv-images status --json | jq '.fleet.health'",
        "no daemon answers, or it is unwell: cycles stall or the store refuses",
        _json,
        "control",
    ),
    Command(
        "revive",
        "puts disabled cameras back to work",
        "A camera is disabled after CCTV_FAILURE_LIMIT failed cycles in a row, or CCTV_REFUSAL_LIMIT refused logins. "
        "This starts it again without a restart. A login that was refused twice within the hour is still withheld, so "
        "that no account gets locked; --offer-login forgets that: use it when you have mended the password.",
        "cctv-images revive CCTV-0171 CCTV-0172\ncctv-images revive --all\ncctv-images revive CCTV-0171 --offer-login",
        "no daemon answers, or it knows no such camera",
        _revive,
        "control",
    ),
    Command(
        "reload",
        "makes the daemon read inventory and logins again",
        "Waits until it is done. New cameras start, removed ones stop, changed ones restart, all others do not miss a "
        "slot. A list that is bad or would remove more than a fifth of the cameras changes nothing; --force means it.",
        "cctv-images reload\ncctv-images reload --force",
        "no daemon answers, or it refused, and why",
        _reload,
        "control",
    ),
    Command(
        "ledger",
        "the account of every slot: days by cameras",
        "A row for each day (UTC) and camera: slots expected, captured, published, archived and lost, and why not. "
        "Without --date the last seven days, with --camera all days. Reads the ledger in CCTV_STATE_DIR, whether the "
        "service runs or not. `ledger verify --date D` holds a day against what the archive lists: every slot that was "
        "expected is archived or has a reason, or the gaps are named. CCTV_STATE_DIR must be the service's.",
        "cctv-images ledger --date yesterday\ncctv-images ledger --camera CCTV-0171\n"
        "cctv-images ledger --csv > slots.csv\ncctv-images ledger verify --date yesterday",
        "there is no ledger, or it knows no such camera; verify: gaps, or it could not look",
        _ledger,
    ),
    Command(
        "retention",
        "removes archive copies that have had their day",
        "Deletes copies older than CCTV_ARCHIVE_DAYS, and the oldest while the archive holds more than "
        "CCTV_ARCHIVE_BYTES. Nothing is deleted unless the whole archive could be listed, nothing after any error, and "
        "nothing that is not named exactly like a copy. Without --force no more than the two oldest days go at once.",
        "cctv-images retention --dry-run\ncctv-images retention",
        "the archive could not be listed or did not delete, or more is due than goes at once",
        _retention,
    ),
    Command(
        "simulate",
        "simulated cameras of every make, with every fault",
        "Plays cameras at loopback addresses until Ctrl-C, for trials of the daemon on one machine. With --inventory "
        "it plays that list's cameras; -o writes the list with the addresses to ask them at. What to set as "
        "CCTV_CREDENTIALS is shown at the address that it prints.",
        "cctv-images simulate --cameras 1000 -o cameras.csv\n"
        "cctv-images simulate --inventory austin.csv -o cameras.csv --sick 0",
        "it could not start",
        _simulate,
    ),
    Command(
        "sync",
        "compares two stores and copies what is missing",
        "SOURCE and DESTINATION are s3://bucket[/prefix] or file:///folder. The source is never changed, nothing is "
        "deleted, and an older object never replaces a newer one (by its captured-at, else its last change). "
        "Interrupted, it is simply run again. Each run leaves a report of a few KB and gzipped lists in "
        "CCTV_STATE_DIR/syncs: `sync history` lists the runs, `sync show ID` shows one. S3 is reached with the AWS_* "
        "settings unless an option says otherwise for one side. Dates are those in the keys.",
        "cctv-images sync s3://old s3://new --source-profile old --destination-endpoint https://s3.new.example\n"
        "cctv-images sync file:///srv/archive s3://new/archive --from 2026-03-01 --to 2026-03-31 --report-only\n"
        "cctv-images sync history\ncctv-images sync show 20260301-120000-1a2b --json",
        "something is missing, different or failed",
        cli_sync.arguments,
    ),
)


class Parser(argparse.ArgumentParser):
    """Mistakes as one sentence with the nearest word that exists; help as it was written."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        sentence = plain(message, 500) + ("" if message.endswith("?") else ".")
        self.exit(EX_USAGE, f"{PROGRAM}: {sentence}\nTry: {self.prog} --help\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            self.error(f'there is no command "{plain(value, 40)}"{_nearest(str(value), action.choices)}')

    def unknown(self, words: Sequence[str]) -> NoReturn:
        option = plain(words[0].partition("=")[0], 40)
        known = [o for action in self._actions for o in action.option_strings]
        hint = _nearest(option, known) if option.startswith("-") else ""
        self.error(f'"{option}" is not understood here{hint}')


def _nearest(word: str, known: Iterable[str]) -> str:
    close = get_close_matches(word.lower(), list(known), 1, 0.6)
    return f"; did you mean {close[0]}?" if close else ""


def build_parser() -> tuple[Parser, dict[str, Parser]]:
    """The whole parser, and each command's."""
    overview = Parser(
        prog=PROGRAM,
        description="Publishes a recent, honest still of every traffic camera, or an honest image in its place.",
        epilog="First steps: `cctv-images demo`, then copy config.example.env to .env, then `cctv-images check`.\n"
        "Settings come from CCTV_* environment variables or from a file: --env-file, else .env in this folder.\n\n"
        + CODES.format(bad="what was looked at is bad"),
    )
    overview.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    overview.add_argument("--env-file", metavar="FILE", help="settings file (default: .env in this folder)")
    commands = overview.add_subparsers(dest="command", metavar="COMMAND", title="commands", parser_class=Parser)
    parsers = {}
    for command in COMMANDS:
        examples = "\n".join(f"  {line}" for line in command.examples.splitlines())
        parser = commands.add_parser(
            command.name,
            help=command.does,
            description=_wrapped(command.explains),
            epilog=f"Examples:\n{examples}\n\n{_wrapped(CODES.format(bad=command.bad))}",
        )
        command.arguments(parser)
        parser.add_argument("--env-file", metavar="FILE", default=argparse.SUPPRESS, help="settings file")
        parsers[command.name] = parser
    return overview, parsers


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 100)


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code. No traceback leaves here, whatever happens."""
    try:
        code = _dispatch(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has seen enough. Without this, Python complains when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EX_BAD
    return code


def _dispatch(argv: Sequence[str]) -> int:
    for stream in (sys.stdout, sys.stderr):
        _accept_all_text(stream)
    try:
        overview, parsers = build_parser()
        args, left = overview.parse_known_args(argv)
        if args.command is None:
            overview.unknown(left) if left else overview.print_help(sys.stderr)
            return EX_USAGE
        if left:
            parsers[args.command].unknown(left)
        args.usage_error = parsers[args.command].error
        return next(c for c in COMMANDS if c.name == args.command).run(args)
    except SystemExit as exc:  # argparse has said what there is to say
        return exc.code if isinstance(exc.code, int) else EX_OK
    except ConfigError as exc:
        tell(exc.problems)
        return EX_CONFIG
    except CommandError as exc:
        tell([str(exc)])
        return EX_BAD
    except KeyboardInterrupt:
        return EX_INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as exc:  # noqa: BLE001 - the last boundary: an operator gets a sentence
        return _our_fault(exc)


def _accept_all_text(stream: TextIO) -> None:
    """A terminal that cannot show a character shows its escape."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def tell(problems: Sequence[str]) -> None:
    """Mistakes on standard error: one as a sentence, several as a list."""
    lines = [plain(problem, 2000) for problem in problems]
    if len(lines) > 1:
        sys.stderr.write(f"{PROGRAM}: {len(lines)} mistakes in the configuration:\n")
    for line in lines:
        sys.stderr.write(f"  {line}\n" if len(lines) > 1 else f"{PROGRAM}: {line}\n")


def _our_fault(exc: Exception) -> int:
    """The text of a foreign exception may hold an address with a password in it: only its kind and place are shown."""
    if os.environ.get("CCTV_LOG_LEVEL", "").lower() == "debug":
        traceback.print_exception(exc)
    place = traceback.extract_tb(exc.__traceback__)[-1]
    where = f"{os.sep.join(place.filename.split(os.sep)[-2:])}:{place.lineno}"
    advice = "Please report it, with the traceback that CCTV_LOG_LEVEL=debug shows."
    tell([f"our fault: {type(exc).__name__} in {where}. {advice}"])
    return EX_BAD
