"""The whole service as a process: real cameras' misbehaviour in, a real S3 server out."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest
from program import stop, until
from s3 import Weed, free_ports
from service import Service
from zoo import zoo_of

from cctv_images.errors import ErrorState
from cctv_images.retain.ledger_file import GONE

SICK = {
    ErrorState.DNS: "dns",
    ErrorState.UNREACHABLE: "unreachable",
    ErrorState.CONNECT_TIMEOUT: "connect_timeout",
    ErrorState.TLS: "tls",
    ErrorState.TIMEOUT: "drip",
    ErrorState.DISCONNECTED: "hang_up",
    ErrorState.BAD_RESPONSE: "garbage",
    ErrorState.AUTH: "wrong_password",
    ErrorState.NOT_FOUND: "not_found",
    ErrorState.BUSY: "busy",
    ErrorState.HTTP_ERROR: "server_error",
    ErrorState.REDIRECTED: "redirected",
    ErrorState.TOO_LARGE: "too_large",
    ErrorState.NOT_AN_IMAGE: "login_page",
    ErrorState.TRUNCATED: "truncated",
}


@pytest.fixture
def local(tmp_path: Path) -> Service:
    return Service(tmp_path, f"file://{tmp_path}/store")


@pytest.fixture
async def on_s3(tmp_path: Path, weed: Weed) -> Service:
    bucket = f"stills-{tmp_path.name[:40].replace('_', '-').lower()}"
    await weed.make_bucket(bucket, public=True)
    service = Service(tmp_path, f"s3://{bucket}/public")
    service.program.env |= {
        "AWS_ACCESS_KEY_ID": weed.access_key,
        "AWS_SECRET_ACCESS_KEY": weed.secret_key,
        "AWS_REGION": weed.region,
        "AWS_ENDPOINT_URL_S3": weed.endpoint,
        "CCTV_S3_OPTIONS": '{"addressing": "path"}',
    }
    return service


async def plain_get(weed: Weed, service: Service, camera_id: str) -> tuple[dict[str, str], bytes]:
    """The object as anybody gets it."""
    url = f"{weed.endpoint}/{service.program.env['CCTV_STORE'].removeprefix('s3://')}/image/{camera_id}.jpg"
    async with (
        aiohttp.ClientSession() as session,
        session.get(url) as got,
    ):
        assert got.status == 200
        return {name.lower(): value for name, value in got.headers.items()}, await got.read()


async def test_every_error_state_is_seen_in_log_api_page_and_store(on_s3: Service, weed: Weed) -> None:
    animals = {state.value: ("wisenet" if state is ErrorState.AUTH else "pelco-open", f) for state, f in SICK.items()}
    async with zoo_of(animals | {"healthy": ("wisenet", "none")}) as zoo:
        on_s3.furnish(zoo)
        async with on_s3.running("run", CCTV_FAILURE_LIMIT="0", CCTV_REFUSAL_LIMIT="9") as daemon:
            await on_s3.sees(lambda cameras: all(c["kind"] for c in cameras.values()))
            cameras, page, metrics = await on_s3.cameras(), await on_s3.get("/"), await on_s3.get("/metrics")
            for state in SICK:
                assert cameras[state]["error_state"] == state, cameras[state]
                assert cameras[state]["kind"] == "fallback"
                headers, body = await plain_get(weed, on_s3, state)
                assert headers["x-amz-meta-kind"] == "fallback"
                assert headers["x-amz-meta-error-state"] == state
                assert body.startswith(b"\xff\xd8")
                assert f'error_state="{state}"' in metrics
            headers, body = await plain_get(weed, on_s3, "healthy")
            image = await on_s3.get("/api/cameras/healthy")
            code = await stop(daemon)
    assert code == 0
    assert headers["content-type"] == "image/jpeg"
    assert headers["x-amz-meta-kind"] == "picture"
    assert headers["x-amz-meta-captured-at"].endswith("Z")
    assert "expires" in headers
    assert "cache-control" not in headers
    logged = {(e["camera_id"], e["error_state"]) for e in on_s3.events("camera_failing")}
    assert {(state.value, state.value) for state in SICK} <= logged
    assert len(on_s3.events("fallback_published")) == len(SICK)
    outputs = "\n".join([on_s3.log.read_text(), page, metrics, image, json.dumps(cameras)])
    for login in zoo.credentials().values():
        secret = login["password"]
        token = base64.b64encode(f"{login['username']}:{secret}".encode()).decode()
        assert not any(form in outputs for form in (secret, quote(secret), token))


async def test_a_store_that_dies_is_one_event_and_what_is_owed_is_paid_when_it_is_back(
    on_s3: Service, weed: Weed
) -> None:
    async with zoo_of({"a": ("pelco-open", "none"), "b": ("pelco-open", "none")}) as zoo:
        on_s3.furnish(zoo)
        async with on_s3.running("run", CCTV_FAILURE_LIMIT="1") as daemon:
            await on_s3.sees(lambda cameras: all(c["kind"] == "picture" for c in cameras.values()))
            weed.kill9()
            try:
                zoo.set_fault("b", "not_found")
                await until(lambda: on_s3.events("store_failed") and on_s3.events("camera_disabled"), 40)
                await asyncio.sleep(5)
                cameras = await on_s3.cameras()
                health = await on_s3.get("/healthz")
            finally:
                weed.restart()
            await on_s3.sees(lambda now: now["b"]["kind"] == "fallback", 90)
            headers, _ = await plain_get(weed, on_s3, "b")
            assert await stop(daemon) == 0
    assert cameras["a"]["health"] == "ok"
    assert "the store" in health
    assert headers["x-amz-meta-error-state"] == "not_found"
    assert [len(on_s3.events(name)) for name in ("store_failed", "store_recovered", "camera_disabled")] == [1, 1, 1]


def in_ledger(service: Service, camera_id: str) -> list[tuple[int]]:
    """The camera's state, none before it is known."""
    with closing(sqlite3.connect(service.folder / "state" / "ledger.sqlite")) as ledger, suppress(sqlite3.Error):
        return ledger.execute("SELECT state FROM camera WHERE name = ?", [camera_id]).fetchall()
    return []


async def test_a_reload_starts_stops_changes_and_leaves_alone(local: Service) -> None:
    names = {f"c{n}": ("pelco-open", "none") for n in range(5)}
    async with zoo_of(names) as zoo:
        local.furnish(zoo)
        header, *rows = zoo.inventory_csv().splitlines()
        (local.folder / "cameras.csv").write_text("\n".join([header, *rows[:4]]) + "\n")
        async with local.running("run") as daemon:
            await local.sees(lambda cameras: len(cameras) == 4 and all(c["kind"] for c in cameras.values()))
            changed = rows[1].replace(",c1,", ",c1,") + ""
            (local.folder / "cameras.csv").write_text("\n".join([header, rows[0], changed, *rows[3:]]) + "\n")
            done = await local.program("reload")
            assert done.code == 0, done.err
            await local.sees(lambda cameras: set(cameras) == {"c0", "c1", "c3", "c4"} and bool(cameras["c4"]["kind"]))
            await until(lambda: in_ledger(local, "c2") == [(GONE,)])  # at once, not in a minute
            await until(lambda: "no longer run" in str(local.events("fallback_published")))
            (local.folder / "cameras.csv").write_text("nothing,of,ours\n1,2,3\n")
            daemon.send_signal(signal.SIGHUP)
            await until(lambda: local.events("reload_refused"))
            assert len(await local.cameras()) == 4
            assert await stop(daemon) == 0


async def test_a_camera_removed_while_the_service_was_down_does_not_keep_its_last_picture(local: Service) -> None:
    async with zoo_of({"stays": ("pelco-open", "none"), "goes": ("pelco-open", "none")}) as zoo:
        local.furnish(zoo)
        async with local.running("run") as daemon:
            await local.sees(lambda cameras: all(c["kind"] == "picture" for c in cameras.values()))
            await stop(daemon)
        left = [line for line in zoo.inventory_csv().splitlines() if not line.startswith("goes,")]
        (local.folder / "cameras.csv").write_text("\n".join(left) + "\n")
        before = (local.folder / "store/image/goes.jpg").read_bytes()
        async with local.running("run") as daemon:
            await until(lambda: (local.folder / "store/image/goes.jpg").read_bytes() != before)
            await stop(daemon)


async def test_without_its_inventory_address_the_service_starts_from_the_last_good_list(local: Service) -> None:
    port = free_ports(1)[0]
    async with zoo_of({"a": ("pelco-open", "none")}) as zoo:
        local.furnish(zoo)
        listing = zoo.inventory_csv()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: text/csv\r\n\r\n" + listing.encode())
            writer.close()

        env = {"CCTV_INVENTORY": f"http://127.0.0.1:{port}/cameras.csv"}
        server = await asyncio.start_server(answer, "127.0.0.1", port)
        async with local.running("run", **env) as daemon:
            await local.sees(lambda cameras: "a" in cameras and cameras["a"]["kind"] == "picture")
            await stop(daemon)
        server.close()
        await server.wait_closed()
        async with local.running("run", **env) as daemon:
            await local.sees(lambda cameras: "a" in cameras and cameras["a"]["kind"] == "picture")
            await stop(daemon)
    assert len(local.events("inventory_stale")) == 1


async def test_a_stop_takes_less_than_ten_seconds_with_cameras_that_hang(local: Service) -> None:
    async with zoo_of({f"c{n}": ("pelco-open", "silent" if n % 2 else "drip_body") for n in range(40)}) as zoo:
        local.furnish(zoo)
        async with local.running("run", CCTV_TIMEOUT="50", CCTV_INTERVAL="60") as daemon:
            await asyncio.sleep(3)
            begin = time.monotonic()
            assert await stop(daemon) == 0
    assert time.monotonic() - begin < 10
    assert local.events("service_stopped")
    assert not list((local.folder / "store").rglob(".*"))


async def test_a_password_that_many_cameras_refuse_is_told_once_with_its_name(local: Service) -> None:
    async with zoo_of({str(n): ("wisenet", "none") for n in range(1, 5)}) as zoo:
        for resident in zoo.residents.values():  # one account for all
            assert resident.gatekeeper is not None
            resident.gatekeeper.password = "zoo-wisenet"
        rows = [f"{name},{zoo.address(name)},Wisenet,wisenet" for name in zoo.residents]
        local.furnish(zoo)
        (local.folder / "cameras.csv").write_text("\n".join(["camera_id,address,model,credentials", *rows, ""]))
        async with local.running("run") as daemon:
            await local.sees(lambda cameras: all(c["health"] == "ok" for c in cameras.values()))
            for resident in zoo.residents.values():
                assert resident.gatekeeper is not None
                resident.gatekeeper.password = "changed"
            await local.sees(lambda cameras: all(c["error_state"] == "auth" for c in cameras.values()))
            assert await stop(daemon) == 0
        assert sum(zoo.login_counts(name).refused for name in zoo.residents) <= 4
    told = [event for event in local.events("credential_refused") if "credentials" in event]
    assert [(event["username"], event["credentials"]) for event in told] == [("zoo-hanwha", "wisenet")]
    assert "probably been changed" in told[0]["detail"]
    assert "zoo-wisenet" not in local.log.read_text()
