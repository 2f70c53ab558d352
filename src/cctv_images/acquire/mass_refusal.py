"""Sees that a password has been changed: several devices that had accepted it refuse it at once.

One device may refuse now and then although the password is right (Dahua). Therefore those that still accept it are
weighed against those that refuse: a thousand cameras of which one in a hundred is fickle are no changed password.
"""

from __future__ import annotations

from dataclasses import dataclass, field

WINDOW_S = 300.0
DEVICES = 3
WITHHELD_S = 3600.0

Secret = tuple[str, str]
"""User name and password."""


@dataclass(slots=True)
class _Answers:
    refusals: dict[str, float] = field(default_factory=dict, repr=False)
    """Device -> monotonic seconds of its refusal, within the window."""
    accepted: int = 0
    """Times that the secret was accepted since the first of the refusals."""
    until: float = 0.0
    told: bool = False


class MassRefusal:
    """Times are monotonic seconds."""

    def __init__(self) -> None:
        self._answers: dict[Secret, _Answers] = {}

    def withheld(self, secret: Secret, now: float) -> float:
        """Seconds for which nobody may offer it; 0 = it may be offered."""
        answers = self._answers.get(secret)
        return max(0.0, answers.until - now) if answers is not None else 0.0

    def accepted(self, secret: Secret) -> None:
        if (answers := self._answers.get(secret)) is not None:
            answers.accepted += 1
            answers.told = False

    def refused(self, secret: Secret, host: str, now: float) -> bool:
        """A device that had accepted it refuses it. True when that makes it withheld from all, and nobody knows yet."""
        answers = self._answers.setdefault(secret, _Answers())
        answers.refusals = {h: at for h, at in answers.refusals.items() if now - at < WINDOW_S}
        if not answers.refusals:
            answers.accepted = 0
        answers.refusals[host] = now
        if len(answers.refusals) < DEVICES or len(answers.refusals) <= answers.accepted:
            return False
        began = answers.until <= now
        answers.until = max(answers.until, now + WITHHELD_S)
        return began

    def tell(self, secret: Secret) -> bool:
        """Whether people are still to be told. Once, until a device accepts it again."""
        answers = self._answers[secret]
        told, answers.told = answers.told, True
        return not told

    def forget(self, secret: Secret) -> None:
        self._answers.pop(secret, None)
