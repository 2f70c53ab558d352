"""What cameras say to burn time: it is over before anybody else notices."""

from __future__ import annotations

import time

import pytest

from cctv_images.acquire.digest import parse_challenges
from cctv_images.acquire.trace import shown_target


@pytest.mark.parametrize("value", ["Digest " + "a=1 " * 2000, "Digest " + "a= " * 2700, "a " * 4000, "=" * 8000])
def test_a_challenge_made_of_thousands_of_words_is_read_at_once(value: str) -> None:
    begun = time.perf_counter()
    parse_challenges([value] * 3)
    assert time.perf_counter() - begun < 1


def test_bare_values_end_before_the_next_name() -> None:
    (challenge,) = parse_challenges(["Digest realm=IP Camera  (C1) nonce=a=b  qop=auth , opaque=x"])
    assert challenge.params == {"realm": "IP Camera (C1)", "nonce": "a=b", "qop": "auth", "opaque": "x"}


def test_a_long_redirect_is_shown_at_once_and_short() -> None:
    begun = time.perf_counter()
    shown = shown_target("/?token=abc&" + "key" * 21_000 + "=abc")
    assert time.perf_counter() - begun < 1
    assert len(shown) <= 1000
    assert "abc" not in shown
