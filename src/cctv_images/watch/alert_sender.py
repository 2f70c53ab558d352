"""The process that sends one alert: whatever Apprise and a server do to it, the service goes on.

Reads a JSON object from standard input: urls, title, body, good. Without a title it only says what it understands.
Writes a line for each url as soon as it is known: its number, its kind, and "yes" or "no". Urls are secrets: they are
neither arguments nor in any output.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from apprise import Apprise, AppriseAsset, NotifyType


def main() -> None:
    request = json.load(sys.stdin)
    with ThreadPoolExecutor(max(1, len(request["urls"]))) as threads:
        for number, url in enumerate(request["urls"]):
            threads.submit(_work, number, url, request)


def _work(number: int, url: str, request: dict[str, Any]) -> None:
    kind, done = url.partition("://")[0].lower(), False
    try:
        done = _send(url, request)
    finally:
        sys.stdout.write(f"{number} {kind if kind.isalnum() else '?'} {'yes' if done else 'no'}\n")
        sys.stdout.flush()


def _send(url: str, request: dict[str, Any]) -> bool:
    target = Apprise(asset=AppriseAsset(app_id="cctv-images", async_mode=False))
    if not target.add(url):
        return False
    if "title" not in request:
        return True
    kind = NotifyType.SUCCESS if request["good"] else NotifyType.WARNING
    return bool(target.notify(body=request["body"], title=request["title"], notify_type=kind))


if __name__ == "__main__":
    main()
