"""The make table as a whole, and the names by which inventories call its rows."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from cctv_images.acquire.makes import boards, brands, further, roadside
from cctv_images.acquire.recipe import LoginKind, Recipe

__all__ = ["RECIPES", "LoginKind", "Recipe", "find_recipe", "nearest", "normalised"]

_ROWS = (*roadside.ROWS, *brands.ROWS, *further.ROWS, *boards.ROWS)

RECIPES: dict[str, Recipe] = {row.name: row for row in _ROWS}


def normalised(model: str) -> str:
    """A model's spelling with everything removed in which inventories differ: case, blanks, punctuation."""
    return "".join(c for c in model.casefold() if c.isalnum())


def _spellings(recipe: Recipe) -> Iterable[str]:
    yield from recipe.aliases
    yield recipe.name
    yield from (f"{brand} {line}" for brand in recipe.brands for line in recipe.lines)


_SPELT: dict[str, str] = {}
"""Normalised spelling -> the spelling to show."""
_FOUND: dict[str, Recipe] = {}
for _recipe in _ROWS:
    for _spelling in _spellings(_recipe):
        _SPELT.setdefault(normalised(_spelling), _spelling)
        _FOUND.setdefault(normalised(_spelling), _recipe)


def find_recipe(model: str) -> Recipe | None:
    """The recipe whose name or alias the model is; case, blanks and punctuation are ignored."""
    return _FOUND.get(normalised(model))


def nearest(model: str, count: int = 3) -> list[str]:
    """The known names that look most like an unknown one, for the sentence that rejects it; may be empty."""
    wanted = normalised(model)[:64]
    begins = sorted((key for key in _FOUND if len(key) > 2 and wanted.startswith(key)), key=len, reverse=True)
    close = difflib.get_close_matches(wanted, _FOUND, n=count, cutoff=0.6)
    return [_SPELT[key] for key in dict.fromkeys([*begins, *close])][:count]
