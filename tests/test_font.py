from __future__ import annotations

import pytest

from cctv_images.process.font import BOLD, drawable, font, missing


@pytest.mark.parametrize("text", ["Guadalupe St / 24th", "Škoda café Ñandú", "Ταχύτητα", "Камера", "“—…”", ""])
def test_names_of_european_languages_can_be_drawn(text: str) -> None:
    assert missing(text) == ""
    assert drawable(text) == text


@pytest.mark.parametrize(
    ("text", "lacks"), [("東京 1", "東京"), ("שלום", "שלום"), ("a\u202eb", "\u202e"), ("🚦🚦", "🚦")]
)
def test_what_cannot_be_drawn_is_named(text: str, lacks: str) -> None:
    assert set(missing(text)) == set(lacks)
    assert missing(drawable(text)) == ""


def test_letters_that_come_in_two_parts_are_put_together() -> None:
    assert drawable("cafe\u0301") == "café"


def test_a_heavier_weight_is_wider() -> None:
    assert font(40, BOLD).getlength("camera") > font(40).getlength("camera")
