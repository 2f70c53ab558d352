"""probe: one camera, asked once, explained."""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import asdict, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from cctv_images.acquire.recipes import RECIPES
from cctv_images.clock import RealClock
from cctv_images.commands import CommandError
from cctv_images.commands.asking import Answer, asker
from cctv_images.commands.common import be_quiet, print_json, run_async, say, settings_for
from cctv_images.commands.find import Finding, finder, inventory_lines, shown
from cctv_images.errors import EX_BAD, EX_OK, ConfigError, ErrorState, plain
from cctv_images.inventory.camera import Camera
from cctv_images.inventory.parse import Inventory, parse
from cctv_images.inventory.source import InventoryUnavailable
from cctv_images.parts import inventory_source
from cctv_images.process.plan import drawn_plan
from cctv_images.settings import Settings

FINDING = "pelco"
"""A model that an address can stand with until its own is found."""
AD_HOC = "probe"
"""The camera_id of a camera that stands in no inventory."""
PIN = re.compile(r"pin:[0-9a-f]{64}")
NO_PIN = f"pin:{'0' * 64}"
"""No certificate has it: the answer names the one there is."""


def probe(args: argparse.Namespace) -> int:
    if bool(args.camera_id) == bool(args.address):
        args.usage_error("probe takes a CAMERA_ID of the inventory, or --address (and --model)")
    if args.masks and (args.find or not args.output):
        args.usage_error("--masks goes with -o FILE, and not with --find")
    be_quiet()
    optional = {"CCTV_STORE", "CCTV_INVENTORY"} if args.address else {"CCTV_STORE"}
    settings = settings_for(args, optional)
    if args.credentials is not None and args.credentials not in settings.credentials:
        raise ConfigError(f"--credentials {plain(args.credentials)}: not among CCTV_CREDENTIALS.")
    if args.find:
        return _find(args, settings)
    answer = run_async(_probe(args, settings))
    if args.output and answer.picture is not None:
        masks = answer.camera.choices.masks
        _write(args.output, drawn_plan(answer.picture.data, masks) if args.masks else answer.picture.data)
    print_json(_document(answer)) if args.json else _explain(answer, args.output)
    return EX_OK if answer.picture is not None else EX_BAD


async def _probe(args: argparse.Namespace, settings: Settings) -> Answer:
    camera = await _camera(args, settings)
    async with asker(settings) as asking:
        answer = await asking.ask(camera, explain=True)
        if answer.error and answer.error.state is ErrorState.TLS and camera.tls == "verify":
            other = await asking.ask(replace(camera, tls=NO_PIN))  # ends before a request is sent
            if other.error and (pin := PIN.search(other.error.detail)):
                answer.trace.add("tls", f"to trust the certificate that was shown, and no other: tls = {pin[0]}")
        return answer


async def _camera(args: argparse.Namespace, settings: Settings) -> Camera:
    if not args.address:
        camera = await _of_inventory(args.camera_id, settings)
    else:
        camera = _ad_hoc(args.address, FINDING if args.find else args.model, settings)
    return replace(camera, credentials=args.credentials) if args.credentials else camera


def _find(args: argparse.Namespace, settings: Settings) -> int:
    async def find() -> Finding:
        camera = await _camera(args, settings)
        if camera.scheme == "rtsp":
            raise CommandError("--find asks for stills: give the address without rtsp://.")
        async with finder(settings) as finding:
            return await finding.find(camera, offer=camera.credentials is not None)

    finding = run_async(find())
    camera = finding.camera
    address = args.address or (f"{camera.host}:{camera.port}" if camera.port else camera.host)
    rows = inventory_lines(finding, address, camera.credentials) if finding.recipe else []
    picture = finding.answer.picture if finding.recipe and finding.answer else None
    if args.output and picture is not None:
        _write(args.output, picture.data)
    if args.json:
        print_json(finding.document() | {"inventory": rows})
    else:
        for line in [*shown(finding), *(["", "For the inventory:", "", *rows] if rows else [])]:
            say(line)
    return EX_OK if finding.recipe else EX_BAD


def _ad_hoc(address: str, model: str | None, settings: Settings) -> Camera:
    """A camera out of a list of one, so that address and model are held to the inventory's rules."""
    row = {"camera_id": AD_HOC, "address": address} | ({"model": model} if model else {})
    inventory = parse(
        json.dumps([row]).encode(),
        source_name="probe",
        rules=replace(inventory_source(settings, RealClock()).rules, columns={}),
    )
    if not inventory.cameras:
        raise CommandError(f"this camera cannot be asked: {inventory.rejected[0].reason}.")
    return inventory.cameras[AD_HOC]


async def _of_inventory(camera_id: str, settings: Settings) -> Camera:
    source = inventory_source(settings, RealClock())
    try:
        inventory = (await source.load()).inventory
    except InventoryUnavailable as exc:
        kept = await source.last_good()
        if kept is None:
            raise CommandError(f"the inventory is out of reach: {plain(exc)}") from None
        inventory = kept.inventory
    if camera_id in inventory.cameras:
        return inventory.cameras[camera_id]
    raise CommandError(_why_not(camera_id, inventory, source.name))


def _why_not(camera_id: str, inventory: Inventory, name: str) -> str:
    rejected = [row for row in inventory.rejected if row.camera_id == camera_id]
    if rejected:
        return f"camera {plain(camera_id)} was rejected: {'; '.join(str(row) for row in rejected)}."
    if camera_id in inventory.paused:
        state = inventory.paused[camera_id].status or "not enabled"
        return f"camera {camera_id} is not enabled in {name} ({plain(state)}); --address asks it all the same."
    near = get_close_matches(camera_id, [*inventory.cameras, *inventory.paused], 1)
    return f"there is no camera {plain(camera_id)} in {name}" + (f"; did you mean {near[0]}?" if near else ".")


def _write(output: str, data: bytes) -> None:
    try:
        Path(output).write_bytes(data)
    except OSError as exc:
        raise CommandError(f"{output} cannot be written: {exc.strerror}.") from None


def _document(answer: Answer) -> dict[str, Any]:
    camera, error, picture = answer.camera, answer.error, answer.picture
    return {
        "camera_id": camera.camera_id,
        "model": camera.model,
        "recipe": camera.recipe,
        "host": camera.host,
        "ok": picture is not None,
        "error_state": error.state.value if error else None,
        "detail": error.detail if error else "",
        "means": error.state.meaning.means if error else None,
        "remedy": error.state.meaning.remedy if error else None,
        "bytes": len(answer.still.data) if answer.still else 0,
        "content_type": plain(answer.still.content_type) if answer.still else None,
        "tolerant_reader": answer.still.lenient if answer.still else None,
        "width": picture.width if picture else 0,
        "height": picture.height if picture else 0,
        "fetch_seconds": round(answer.fetch_s, 4),
        "verify_seconds": round(answer.verify_s, 4),
        "steps": [asdict(step) for step in answer.trace.steps],
    }


def _explain(answer: Answer, output: str | None) -> None:
    camera = answer.camera
    known = RECIPES.get(camera.recipe)
    say(
        " · ".join(
            plain(part) for part in (camera.camera_id, known.title if known else camera.recipe, camera.name) if part
        )
    )
    for step in answer.trace.steps:
        say(f"{step.at_ms:9.1f} ms  {step.phase:<9} {step.text}")
        for line in step.lines:
            say(f"{'':23} {line}")
    say("")
    for line in _verdict(answer):
        say(line)
    if output and answer.picture is not None:
        masks = len(camera.choices.masks)
        say(f"The picture is in {plain(output)}, with {masks} mask{'s' * (masks != 1)}.")


def _verdict(answer: Answer) -> list[str]:
    lines = [
        f"fetched in {answer.fetch_s * 1000:.0f} ms"
        if answer.still
        else f"gave up after {answer.fetch_s * 1000:.0f} ms"
    ]
    if still := answer.still:
        said = f", said to be {plain(still.content_type)}" if still.content_type else ""
        lines[0] += f": {len(still.data)} bytes{said}"
        if still.lenient:
            lines.append("The answer breaks the rules of HTTP; the tolerant reader has understood it.")
    if picture := answer.picture:
        lines.append(
            f"verified in {answer.verify_s * 1000:.0f} ms: a whole picture of {picture.width}x{picture.height}"
        )
    if error := answer.error:
        lines.append(f"error_state {error.state}: {error.detail or error.state.meaning.means}")
        lines.append(f"It means: {error.state.meaning.means}. To do: {error.state.meaning.remedy}.")
    return lines
