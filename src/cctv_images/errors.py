"""What can go wrong, in three families that never mix.

CameraError: the camera's trouble, one of the closed list of error_states. StoreError: ours, with the store.
ConfigError: the operator's, found before the first request (exit 78).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

EX_OK, EX_BAD, EX_USAGE, EX_CONFIG = 0, 1, 2, 78

MAX_FOREIGN_TEXT = 200


class ErrorState(StrEnum):
    """Why a camera has no picture. Slugs stand in logs, dashboards and object metadata: they never change."""

    DNS = "dns"
    UNREACHABLE = "unreachable"
    CONNECT_TIMEOUT = "connect_timeout"
    TLS = "tls"
    TIMEOUT = "timeout"
    DISCONNECTED = "disconnected"
    BAD_RESPONSE = "bad_response"
    AUTH = "auth"
    NOT_FOUND = "not_found"
    BUSY = "busy"
    HTTP_ERROR = "http_error"
    REDIRECTED = "redirected"
    TOO_LARGE = "too_large"
    NOT_AN_IMAGE = "not_an_image"
    TRUNCATED = "truncated"
    BLANK = "blank"
    FROZEN = "frozen"
    INTERNAL = "internal"

    @property
    def meaning(self) -> Meaning:
        return MEANINGS[self]


class ReasonClass(StrEnum):
    """What the public is told. The names stand in CCTV_FALLBACK_TEXT: they never change."""

    NOT_REACHABLE = "not_reachable"
    NOT_A_PICTURE = "not_a_picture"
    BEING_CHECKED = "being_checked"
    SWITCHED_OFF = "switched_off"


@dataclass(frozen=True, slots=True)
class Meaning:
    means: str
    retry: bool
    """Whether the same cycle tries again."""
    remedy: str
    """What a person does about it."""
    told: ReasonClass


_R = ReasonClass

MEANINGS: dict[ErrorState, Meaning] = {
    ErrorState.DNS: Meaning("the camera's name does not resolve", True, "check the address", _R.NOT_REACHABLE),
    ErrorState.UNREACHABLE: Meaning(
        "refused, reset or no route while connecting", True, "check power, network and address", _R.NOT_REACHABLE
    ),
    ErrorState.CONNECT_TIMEOUT: Meaning(
        "no answer to the connection within the time", True, "check power, network and firewall", _R.NOT_REACHABLE
    ),
    ErrorState.TLS: Meaning(
        "handshake or certificate failed", False, "check the certificate and the tls column", _R.BEING_CHECKED
    ),
    ErrorState.TIMEOUT: Meaning(
        "connected, but not all of the answer within the time",
        True,
        "slow link or hung camera: reboot it",
        _R.NOT_REACHABLE,
    ),
    ErrorState.DISCONNECTED: Meaning(
        "closed before the answer was complete",
        True,
        "camera overloaded or rebooting: wait, then look at it",
        _R.NOT_REACHABLE,
    ),
    ErrorState.BAD_RESPONSE: Meaning(
        "not an answer that can be read as HTTP", True, "check the port; old firmware", _R.NOT_A_PICTURE
    ),
    ErrorState.AUTH: Meaning(
        "login refused, wanted and not known, or withheld",
        False,
        "check the password; the account may be locked",
        _R.BEING_CHECKED,
    ),
    ErrorState.NOT_FOUND: Meaning(
        "this is not how that make is asked", False, "wrong model in the inventory? try probe", _R.BEING_CHECKED
    ),
    ErrorState.BUSY: Meaning("the camera is busy", True, "too many viewers", _R.NOT_REACHABLE),
    ErrorState.HTTP_ERROR: Meaning("a status that is not a picture", True, "see the detail", _R.NOT_A_PICTURE),
    ErrorState.REDIRECTED: Meaning(
        "sent elsewhere; not followed", False, "check the address and the camera's https setting", _R.BEING_CHECKED
    ),
    ErrorState.TOO_LARGE: Meaning(
        "more bytes or pixels than allowed", False, "check the camera's settings and the limits", _R.NOT_A_PICTURE
    ),
    ErrorState.NOT_AN_IMAGE: Meaning("the bytes are no picture", True, "check login and path", _R.NOT_A_PICTURE),
    ErrorState.TRUNCATED: Meaning(
        "a picture that ends before its end", True, "check the link's quality", _R.NOT_A_PICTURE
    ),
    ErrorState.BLANK: Meaning(
        "one flat colour, colour bars or no signal", False, "look at the camera", _R.NOT_A_PICTURE
    ),
    ErrorState.FROZEN: Meaning(
        "the same picture for many cycles", False, "reboot the camera or its encoder", _R.BEING_CHECKED
    ),
    ErrorState.INTERNAL: Meaning("our fault", False, "report it", _R.BEING_CHECKED),
}

OUR_NETWORK = frozenset({ErrorState.DNS, ErrorState.UNREACHABLE, ErrorState.CONNECT_TIMEOUT})
"""Failures that our own network would cause as well as the camera's: what the uplink gate looks at."""


class CameraError(Exception):
    """One camera's failure of one attempt.

    detail is a sentence for people, already free of secrets and safe to show (see `plain`).
    retry_after_s is what the camera asked for (Retry-After), if anything.
    counts is False where the failure says nothing new about the camera (a login that is being withheld
    although it has worked before): it then moves no limit. final is True where asking again is of no use until a
    person acts (a login that has worked before, refused twice an hour apart): it disables the camera at once.
    """

    def __init__(
        self,
        state: ErrorState,
        detail: str = "",
        *,
        retry_after_s: float | None = None,
        counts: bool = True,
        final: bool = False,
    ) -> None:
        super().__init__(f"{state}: {detail}")
        self.state = state
        self.detail = plain(detail)
        self.retry_after_s = retry_after_s
        self.counts = counts
        self.final = final


class StoreError(Exception):
    """The store did not take or give an object. Never the camera's fault.

    reason: a short slug (`unreachable`, `timeout`, `denied`, `no_bucket`, `clock`, `lied`, `busy`, `full`,
    `redirected`, `refused`, …). transient: whether the same request may succeed a moment later.
    """

    def __init__(self, reason: str, detail: str, *, transient: bool = True) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = plain(detail)
        self.transient = transient


class ConfigError(Exception):
    """One or more mistakes in the configuration, each a sentence. The commands exit 78 on it."""

    def __init__(self, problems: Sequence[str] | str) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


def plain(text: object, limit: int = MAX_FOREIGN_TEXT) -> str:
    """Foreign text as one printable line of at most `limit` characters: nothing to colour, break or fill a log."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text)[: limit * 4])
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"
