"""The words that `sync` takes."""

from __future__ import annotations

import argparse
import re
from datetime import UTC, date, datetime, timedelta


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source", metavar="SOURCE", help="s3://bucket[/prefix] or file:///folder; or: history, or: show"
    )
    parser.add_argument("destination", nargs="?", metavar="DESTINATION", help="the like; with show: a run's ID")
    parser.add_argument("--report-only", action="store_true", help="compare, and copy nothing")
    parser.add_argument("--update", action="store_true", help="also replace what differs, unless it is newer there")
    parser.add_argument("--checksum", action="store_true", help="read what has no hash in the listings")
    parser.add_argument("--prefix", default="", metavar="P", help="only keys that begin so")
    parser.add_argument("--camera", action="append", default=[], metavar="ID", help="only this one (may be repeated)")
    parser.add_argument(
        "--from", dest="first", type=_day, metavar="DATE", help="only keys with this date or a later one"
    )
    parser.add_argument(
        "--to", dest="last", type=_day, metavar="DATE", help="only keys with this date or an earlier one"
    )
    parser.add_argument("--concurrency", type=_at_once, default=16, metavar="N", help="copies at a time (default: 16)")
    parser.add_argument("--max-bytes-per-second", type=_rate, default=0, metavar="N", help="such as 500k or 20M")
    for side in ("source", "destination"):
        parser.add_argument(f"--{side}-profile", metavar="NAME", help=f"AWS profile with the keys of the {side}")
        parser.add_argument(f"--{side}-endpoint", metavar="URL", help=f"address of the {side}'s S3 server")
        parser.add_argument(f"--{side}-region", metavar="NAME", help=f"region of the {side}'s bucket")
    parser.add_argument("--json", action="store_true", help="print the report as a JSON document")


def _day(text: str) -> date:
    today = datetime.now(UTC).date()
    try:
        return {"today": today, "yesterday": today - timedelta(days=1)}.get(text) or date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f'"{text}": expected YYYY-MM-DD, today or yesterday') from None


def _rate(text: str) -> int:
    match = re.fullmatch(r"(\d{1,12})([kMG]?)", text)
    if not match or not int(match[1]):
        raise argparse.ArgumentTypeError(f'"{text}": expected bytes per second such as 500000, 500k or 20M')
    return int(match[1]) * {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}[match[2]]


def _at_once(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 128:
        raise argparse.ArgumentTypeError(f'"{text}": expected a number from 1 to 128')
    return int(text)
