"""The page in a real browser."""

import asyncio
import re
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from needs import needs
from PIL import Image

from cctv_images.clock import RealClock
from cctv_images.errors import ErrorState
from cctv_images.inventory.camera import Camera
from cctv_images.records import CameraRecord, Fleet
from cctv_images.states import CameraState, Health
from cctv_images.suspicion import Reason, Suspect
from cctv_images.watch.server import WebServer

pytestmark = needs("chromium")

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
]
EVIL = "<img src=x onerror=\"document.title='pwned'\"><script>document.title='pwned'</script>"


class Shown:
    """A fleet behind a page."""

    def __init__(self, folder: Path) -> None:
        self.clock = RealClock()
        self.fleet = Fleet(self.clock.time() - 60, starting=False)
        self.folder = folder
        self.on_picture: Callable[[], None] = lambda: None
        self.server = WebServer(self.fleet, self.clock, self._picture)
        self.port = 0

    def _picture(self, camera_id: str) -> Path:
        self.on_picture()
        return self.folder / f"{camera_id}.jpg"

    def add(
        self, camera_id: str, name: str = "", state: CameraState | None = None, kind: str = "picture"
    ) -> CameraRecord:
        record = CameraRecord(Camera(camera_id, "pelco", "Sarix", name=name), 300.0)
        record.state, record.kind, record.etag = state or CameraState(Health.OK), kind, "e1"
        record.captured_at = record.last_picture_at = self.clock.time() - 120
        self.fleet.cameras[camera_id] = record
        Image.new("RGB", (64, 36), "navy").save(self.folder / f"{camera_id}.jpg")
        return record

    async def dom(self, path: str = "/", virtual_ms: int = 5_000) -> str:
        """What the page has become, and the browser's own complaints after it."""
        browser = await asyncio.create_subprocess_exec(
            "chromium",
            *FLAGS,
            f"--user-data-dir={self.folder}/profile",
            f"--virtual-time-budget={virtual_ms}",
            "--dump-dom",
            f"http://127.0.0.1:{self.port}{path}",
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        async with asyncio.timeout(90):
            dom, complaints = await browser.communicate()
        about_page = [line for line in complaints.decode().splitlines() if "CONSOLE" in line]
        return dom.decode() + "\n".join(about_page)


@pytest.fixture
async def shown(tmp_path: Path) -> AsyncIterator[Shown]:
    shown = Shown(tmp_path)
    shown.port = await shown.server.open("127.0.0.1:0")
    yield shown
    await shown.server.close()


def cards(dom: str) -> list[str]:
    return re.findall(r'<li class="card".*?</li>', dom.split("<template")[0], re.DOTALL)


async def test_a_suspect_camera_is_marked_beside_its_health_and_found_by_a_chip(shown: Shown) -> None:
    shown.add("134", "Lamar / 45th").suspect = Suspect(Reason.DUPLICATE, shown.clock.time(), "136")
    shown.add("135", "Congress")
    dom = await shown.dom("/#health=suspect")
    doubted, believed = cards(dom)
    assert ">ok</span>" in doubted
    assert "<strong>suspect, duplicate</strong>" in doubted
    assert "the same view as camera 136" in doubted
    assert "suspect," not in believed
    assert 'hidden=""' in believed.partition(">")[0]
    assert ">suspect 1</button>" in dom


async def test_every_camera_has_a_card_with_picture_name_health_and_age(shown: Shown) -> None:
    shown.add("134", "Lamar / 45th")
    shown.add(
        "135", "Congress", CameraState(Health.FAILING, 2, 0, ErrorState.AUTH, "login withheld until 13:05"), "fallback"
    )
    dom = await shown.dom()
    well, sick = cards(dom)
    assert ">Lamar / 45th</h2>" in well
    assert 'src="/image/134.jpg?v=e1"' in well
    assert ">ok</span>" in well
    assert "2 min ago" in well
    assert 'data-health="failing"' in sick
    assert "<strong>auth</strong>" in sick
    assert "check the password; the account may be locked" in sick
    assert "login withheld until 13:05" in sick
    assert "last picture 2 min ago" in sick
    assert ">all 2</button>" in dom
    assert ">failing 1</button>" in dom
    assert "✓ store ok" in dom
    assert "CONSOLE" not in dom, "the page breaks its own policy, or throws"


async def test_text_from_cameras_and_inventories_is_shown_and_never_run(shown: Shown) -> None:
    shown.add("134", EVIL, CameraState(Health.FAILING, 1, 0, ErrorState.BAD_RESPONSE, EVIL), "fallback")
    shown.fleet.store.ok, shown.fleet.store.reason, shown.fleet.store.detail = False, "refused", EVIL
    dom = await shown.dom()
    assert "<title>Cameras</title>" in dom
    assert dom.count("&lt;img src=x onerror=") >= 3
    assert '<img src="x"' not in dom


async def test_the_page_refreshes_itself_and_loads_only_new_pictures(shown: Shown) -> None:
    record = shown.add("134", "Lamar")
    asked = 0

    def recover() -> None:
        nonlocal asked
        asked += 1
        record.etag = "e2"
        record.state = CameraState(Health.FAILING, 1, 0, ErrorState.TIMEOUT)

    shown.on_picture = recover
    (card,) = cards(await shown.dom(virtual_ms=60_000))
    assert 'src="/image/134.jpg?v=e2"' in card
    assert "<strong>timeout</strong>" in card
    assert asked == 2


async def test_the_page_says_so_when_the_daemon_does_not_answer(shown: Shown) -> None:
    shown.add("134", "Lamar")
    shown.on_picture = lambda: setattr(shown.fleet, "store", None)
    dom = await shown.dom(virtual_ms=40_000)
    assert "No answer from the daemon since" in dom
    assert ">Lamar</h2>" in dom


async def test_health_and_words_choose_what_is_shown(shown: Shown) -> None:
    shown.add("134", "Lamar / 45th")
    shown.add("135", "Congress", CameraState(Health.FAILING, 1, 0, ErrorState.DNS), "fallback")
    shown.add("136", "Lamar / 51st", CameraState(Health.FAILING, 1, 0, ErrorState.TIMEOUT), "fallback")
    visible = [
        card for card in cards(await shown.dom("/#health=failing&q=lamar+timeout")) if 'hidden=""' not in card[:90]
    ]
    assert len(visible) == 1
    assert "Lamar / 51st" in visible[0]


async def test_trouble_with_store_network_and_inventory_is_told_at_the_top(shown: Shown) -> None:
    shown.fleet.store.ok, shown.fleet.store.reason, shown.fleet.store.waiting = False, "denied", 12
    shown.fleet.uplink_suspected_since = shown.clock.time()
    shown.fleet.inventory_stale = True
    shown.fleet.rejected_rows = ["row 3: no address", "row 9: no id"]
    dom = await shown.dom()
    for told in (
        "✕ store failed",
        ": denied. 12 pictures wait.",
        "our own network is suspected",
        "last good one",
        "used: 2.",
    ):
        assert told in dom


async def test_a_fleet_without_cameras_says_so(shown: Shown) -> None:
    assert "No cameras yet." in await shown.dom()
