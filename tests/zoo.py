"""The camera server of all tests: `async with zoo_of({"a": ("pelco-open", "truncated")}) as zoo: ...`."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Mapping
from pathlib import Path

from cctv_images.simulate.faults import Fault
from cctv_images.simulate.fleet import SimulatedCamera, resident
from cctv_images.simulate.persona import Persona, personas
from cctv_images.simulate.pictures import StaticPictures
from cctv_images.simulate.server import Zoo

PERSONAS: dict[str, Persona] = {p.name: p for p in personas()}


def camera(
    persona: str | Persona = "pelco-open", fault: Fault | str = Fault.NONE, *, camera_id: str = "one", number: int = 0
) -> SimulatedCamera:
    """One simulated camera; `number` chooses its address (127.1.0.1 and on) and its account."""
    made = PERSONAS[persona] if isinstance(persona, str) else persona
    return resident(number, made, Fault(fault), camera_id=camera_id)


def zoo_of(
    cameras: Mapping[str, tuple[str | Persona, Fault | str]], *, tls: ssl.SSLContext | None = None, unique: bool = False
) -> Zoo:
    """A zoo on a free port with prepared pictures: camera id -> (persona, fault)."""
    animals = [camera(p, f, camera_id=i, number=n) for n, (i, (p, f)) in enumerate(cameras.items())]
    return Zoo(animals, pictures=StaticPictures(unique=unique), tls=tls)


def self_signed(folder: Path) -> ssl.SSLContext:
    """A certificate that nobody vouches for, in folder/certificate.pem. Needs openssl."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=camera"]
    subprocess.run([*words, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
