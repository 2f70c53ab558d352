"""One row of the inventory, checked."""

from __future__ import annotations

from dataclasses import dataclass

from cctv_images.choices import USUAL, Choices


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera as it is asked and shown. Equal values mean an unchanged row: reload compares with ==."""

    camera_id: str
    recipe: str
    """Canonical recipe name (acquire.recipes), e.g. "pelco"."""
    model: str = ""
    """The model as the inventory spells it."""
    scheme: str = "http"
    """http, https or rtsp."""
    host: str = ""
    """Name or IP literal, IPv6 without brackets."""
    port: int | None = None
    """None = the recipe's or the scheme's default."""
    path: str | None = None
    """Path with query that replaces the recipe's (the `path` column, or the address's own path)."""
    name: str = ""
    latitude: float | None = None
    longitude: float | None = None
    enabled: bool = True
    status: str = ""
    """The source's own word for the state, e.g. TURNED_ON, DESIRED; counted for rows that are not enabled."""
    credentials: str | None = None
    """Name in CCTV_CREDENTIALS; None = the recipe's, else the default login."""
    channel: int | None = None
    """None = the recipe's default; counted as the make counts."""
    interval_s: float | None = None
    tls: str = "verify"
    """verify, pin:<sha256>, insecure or legacy."""
    choices: Choices = USUAL
    """How its pictures are published."""
