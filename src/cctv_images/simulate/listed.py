"""Plays somebody's own inventory: a simulated camera for each enabled row, and the list written out with addresses."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

from cctv_images.acquire.recipes import RECIPES, find_recipe, nearest, normalised
from cctv_images.errors import ConfigError
from cctv_images.inventory.camera import Camera
from cctv_images.inventory.columns import resolve
from cctv_images.inventory.formats import Table, read_table
from cctv_images.inventory.parse import RejectedRow, parse
from cctv_images.inventory.rows import Rules
from cctv_images.simulate.faults import SICK, Fault
from cctv_images.simulate.fleet import SimulatedCamera, host, spread, with_account
from cctv_images.simulate.persona import Persona, of_recipe
from cctv_images.simulate.server import Zoo


@dataclass(frozen=True, slots=True)
class ListedFleet:
    """An inventory that has been given cameras."""

    cameras: list[SimulatedCamera]
    rejected: list[RejectedRow]
    """Enabled rows that say too little to be played, and why."""
    _table: Table
    _columns: dict[str, str]

    def written(self, zoo: Zoo) -> str:
        """The same list as CSV, with addresses and credentials for the rows that the zoo plays; all else is kept."""
        headings = [*self._table.headings]
        headings += [c for c in (self._columns["address"], self._columns["credentials"]) if c not in headings]
        out = io.StringIO()
        table = csv.DictWriter(out, headings, restval="", extrasaction="ignore", lineterminator="\n")
        table.writeheader()
        for raw in self._table.rows:
            table.writerow(
                {**raw.cells, **self._given(zoo, str(raw.cells.get(self._columns["camera_id"], "")).strip())}
            )
        return out.getvalue()

    def _given(self, zoo: Zoo, camera_id: str) -> dict[str, str]:
        if camera_id not in zoo.residents:
            return {}
        credentials = zoo.residents[camera_id].camera.credentials or ""
        return {self._columns["address"]: zoo.address(camera_id), self._columns["credentials"]: credentials}


def listed_fleet(data: bytes, source_name: str, *, sick_share: float = 0.0) -> ListedFleet:
    """Cameras for a CSV's enabled rows, told apart by their models. sick_share: how many of 1 get a fault.

    Raises ConfigError when the list cannot be read.
    """
    table = read_table(data, source_name)
    if table.unit != "line":
        raise ConfigError(f"{source_name} is no CSV: only CSV lists can be played and written out again.")
    columns = {"address": "address", "credentials": "credentials"} | resolve(table.headings, {}, source_name)
    inventory = parse(
        _with_placeholders(table, columns),
        source_name=source_name,
        rules=Rules(lambda m: r.name if (r := find_recipe(m)) is not None else None, nearest, shortest_interval_s=0.0),
    )
    named, address = columns["camera_id"], columns["address"]
    urls = {str(r.cells.get(named, "")).strip() for r in table.rows if _own_path(str(r.cells.get(address, "")))}
    cameras = [
        _animal(i, camera, fault, camera.path if camera.camera_id in urls else None)
        for i, (camera, fault) in enumerate(
            zip(inventory.cameras.values(), spread(SICK, len(inventory.cameras), sick_share), strict=True)
        )
    ]
    return ListedFleet(cameras, inventory.rejected, table, columns)


def _with_placeholders(table: Table, columns: dict[str, str]) -> bytes:
    """The list with an address in each row, so that the inventory's own checks judge all the rest."""
    address, credentials, tls = columns["address"], columns["credentials"], columns.get("tls")
    extra = [address] if address not in table.headings else []
    out = io.StringIO()
    writer = csv.DictWriter(out, [*table.headings, *extra], restval="", extrasaction="ignore")
    writer.writeheader()
    for raw in table.rows:
        path = _own_path(str(raw.cells.get(address, "")))
        blank = {credentials: ""} | ({tls: ""} if tls is not None else {})
        writer.writerow({**raw.cells, **blank, address: f"http://127.0.0.2{path}"})
    return out.getvalue().encode()


def _own_path(address: str) -> str:
    """The path of an address that is a URL; empty for host, host:port or nothing."""
    _, found, rest = address.partition("://")
    return "/" + rest.partition("/")[2] if found and "/" in rest else ""


def _animal(number: int, camera: Camera, fault: Fault, path: str | None) -> SimulatedCamera:
    persona = _persona(camera, number)
    return with_account(
        SimulatedCamera(
            camera.camera_id,
            host(number),
            persona,
            fault,
            camera.name or camera.camera_id,
            camera.latitude or 0.0,
            camera.longitude or 0.0,
            path=path,
            targets=frozenset({persona.onvif.still if persona.onvif else RECIPES[camera.recipe].target(camera)}),
        ),
        number,
    )


def _persona(camera: Camera, number: int) -> Persona:
    """A persona of the row's make; one that carries the row's very model first."""
    of_make = of_recipe(camera.recipe)
    same = [p for p in of_make if normalised(p.model) == normalised(camera.model)]
    return (same or of_make)[number % len(same or of_make)]
