"""What fallbacks say, in the agency's words and languages. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from cctv_images.config.values import json_object, nearest
from cctv_images.errors import ReasonClass, plain

MAX_LANGUAGES = 3
MAX_LETTERS = 120
TIME = "{time}"


@dataclass(frozen=True, slots=True)
class Words:
    """One language. Names are those of CCTV_FALLBACK_TEXT."""

    title: str
    not_reachable: str
    not_a_picture: str
    being_checked: str
    switched_off: str
    since: str
    """With {time} in it."""
    agency: str = ""

    def reason(self, told: ReasonClass) -> str:
        return str(getattr(self, told.value))


NAMES = tuple(field.name for field in fields(Words))
KNOWN_NAMES = f", known are {', '.join(NAMES)}"
KNOWN = {
    "en": Words(
        "No current picture",
        "The camera cannot be reached.",
        "The camera sends no usable picture.",
        "The camera is being checked.",
        "The camera is switched off.",
        "Since {time}",
    ),
    "es": Words(
        "Sin imagen actual",
        "No se puede conectar con la cámara.",
        "La cámara no envía una imagen válida.",
        "La cámara está en revisión.",
        "La cámara está apagada.",
        "Desde {time}",
    ),
    "fr": Words(
        "Pas d’image actuelle",
        "La caméra est injoignable.",
        "La caméra n’envoie pas d’image valable.",
        "La caméra est en cours de vérification.",
        "La caméra est éteinte.",
        "Depuis {time}",
    ),
    "de": Words(
        "Kein aktuelles Bild",
        "Die Kamera ist nicht erreichbar.",
        "Die Kamera sendet kein brauchbares Bild.",
        "Die Kamera wird überprüft.",
        "Die Kamera ist ausgeschaltet.",
        "Seit {time}",
    ),
}
ENGLISH = (KNOWN["en"],)


def fallback_text(text: str) -> tuple[Words, ...]:
    """`{"en": {"agency": "City of Austin"}, "es": {}}`: languages in the order in which they are written, each with
    the words that are to differ from ours. Raises ValueError, all mistakes in one."""
    value = json_object(text)
    if not 1 <= len(value) <= MAX_LANGUAGES:
        raise ValueError(f'expected 1 to {MAX_LANGUAGES} languages such as {{"en": {{}}, "es": {{}}}}')
    mistakes = [mistake for language, words in value.items() for mistake in _mistakes(plain(language, 20), words)]
    if mistakes:
        raise ValueError("; ".join(mistakes))
    return tuple(Words(**(_ours(language) | words)) for language, words in value.items())


def _ours(language: str) -> dict[str, Any]:
    known = KNOWN.get(language)
    return asdict(known) if known else {}


def _mistakes(language: str, words: object) -> list[str]:
    if not isinstance(words, dict):
        return [f'"{language}" expected an object of words, such as {{"title": "No current picture"}}']
    mistakes = [
        f'"{language}" has an unknown "{plain(name, 40)}"{nearest(name, NAMES) or KNOWN_NAMES}'
        for name in words
        if name not in NAMES
    ]
    if lacks := [name for name in NAMES if name != "agency" and name not in _ours(language) | words]:
        mistakes.append(
            f'"{language}" is none of the languages that we speak ({", ".join(KNOWN)}) and lacks {", ".join(lacks)}'
        )
    return mistakes + [m for name, word in words.items() if name in NAMES for m in _word_mistakes(language, name, word)]


def _word_mistakes(language: str, name: str, word: object) -> list[str]:
    what = f'"{name}" of "{language}"'
    if not isinstance(word, str) or (not word.strip() and name != "agency"):
        return [f"{what} is no text"]
    if len(word) > MAX_LETTERS:
        return [f"{what} has {len(word)} letters, expected at most {MAX_LETTERS}"]
    if name == "since" and word.count(TIME) != 1:
        return [f"{what} expected {TIME} in it, once"]
    from cctv_images.process.font import missing  # Pillow, which most commands do without

    if lacking := missing(word):
        return [f"{what} has characters that the font cannot write: {' '.join(map(_shown, lacking))}"]
    return []


def _shown(char: str) -> str:
    return char if char.isprintable() else f"U+{ord(char):04X}"
