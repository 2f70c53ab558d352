"""Nothing grows beyond its limit, nothing waits for anybody else, nothing stays behind."""

from __future__ import annotations

import asyncio
import gc
import gzip
import itertools
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_camera import Talk, acquirer, jpeg, login, ok, outcome, raw_camera

from cctv_images.acquire import Still
from cctv_images.acquire.budget import Budget
from cctv_images.acquire.chunks import Chunks
from cctv_images.acquire.exchange import ProtocolError
from cctv_images.acquire.picture_stream import FirstJpeg, is_whole
from cctv_images.errors import CameraError, ErrorState

JPEG = jpeg()
MIB = 1 << 20


@asynccontextmanager
async def watched_loop() -> AsyncIterator[list[float]]:
    """Seconds by which a 10 ms timer came late meanwhile."""
    late: list[float] = []

    async def watch() -> None:
        while True:
            begun = time.perf_counter()
            await asyncio.sleep(0.01)
            late.append(time.perf_counter() - begun - 0.01)

    task = asyncio.create_task(watch())
    try:
        yield late
    finally:
        task.cancel()


# The shared budget


async def test_beyond_the_budget_the_largest_body_ends_and_nobody_waits() -> None:
    async def sends_half(talk: Talk) -> None:
        await talk.say(ok(b"\xff" * 600_000, length=900_000))
        await talk.hold()

    async def sends_little(talk: Talk) -> None:
        await talk.say(ok(JPEG)[:-1000], pause=0.8)
        await talk.say(JPEG[-1000:])

    async with (
        raw_camera(sends_half) as large,
        raw_camera(sends_little) as small,
        acquirer(timeout_s=10.0, budget_bytes=2 * MIB) as fetcher,
    ):
        little = [asyncio.create_task(outcome(fetcher, small.camera(camera_id=f"s{n}"))) for n in range(5)]
        begun = time.monotonic()
        much = [asyncio.create_task(outcome(fetcher, large.camera(camera_id=f"l{n}"))) for n in range(6)]
        done, _ = await asyncio.wait(much, timeout=6, return_when=asyncio.FIRST_COMPLETED)
        assert time.monotonic() - begun < 6
        ended = [task.result() for task in done]
        assert ended
        assert all(isinstance(came, CameraError) and came.state is ErrorState.TOO_LARGE for came in ended)
        assert fetcher._budget.used <= 2 * MIB
        assert {type(came) for came in await asyncio.gather(*little)} == {Still}
        states = [came.state for came in await asyncio.gather(*much) if isinstance(came, CameraError)]
        assert states.count(ErrorState.TOO_LARGE) == 3
        assert states.count(ErrorState.TIMEOUT) == 3
        assert fetcher._budget.used == 0


def test_the_budget_counts_what_is_held() -> None:
    budget = Budget(100)
    woken: list[str] = []
    with budget.body(80, lambda: woken.append("one")) as one, budget.body(80, lambda: woken.append("two")) as two:
        one.add(b"x" * 60)
        two.add(b"x" * 30)
        with pytest.raises(CameraError, match="more than 80"):
            two.add(b"x" * 51)
        two.add(b"x" * 15)
        assert woken == ["one"]
        assert budget.used == 45
        with pytest.raises(CameraError, match="spent"):
            one.add(b"x")
        two.restart()
        assert budget.used == 0
    assert budget.used == 0


# Hogs


@pytest.mark.parametrize("attack", ["continues", "tiny chunks", "false starts", "gzip bomb", "markers", "blank heads"])
def test_a_hog_does_not_block_the_loop(attack: str) -> None:
    bomb = gzip.compress(bytes(200 * MIB), 1)

    async def hog(talk: Talk) -> None:
        match attack:
            case "continues":
                while True:
                    await talk.say(b"HTTP/1.1 100 Continue\r\n\r\n" * 3000)
            case "tiny chunks":
                await talk.say(ok(b"", "Transfer-Encoding: chunked", "no colon", length=None))
                while True:
                    await talk.say(b"1\r\nx\r\n" * 20000)
            case "false starts":
                await talk.say(ok(b"", length=None, kind="multipart/x-mixed-replace"))
                while True:
                    await talk.say((b"\xff\xd8" + b"x" * 100) * 1000)
            case "gzip bomb":
                await talk.say(ok(bomb))
            case "markers":
                await talk.say(ok(b"\xff\xd8\xff\xe0\x00\x02" + b"\xff\xe1\x00\x02" * 200_000, length=None))
            case "blank heads":
                while True:
                    await talk.say(b"\r\n" * 30000)

    async def run() -> float:
        async with (
            raw_camera(hog) as camera,
            acquirer(timeout_s=1.0, max_bytes=8 * MIB) as fetcher,
            watched_loop() as late,
        ):
            await asyncio.sleep(0.05)
            came = await outcome(fetcher, camera.camera())
            await asyncio.sleep(0.05)
            assert isinstance(came, CameraError | Still)
            return max(late)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(run()) < 0.3


def test_looking_for_a_picture_costs_the_same_for_every_byte() -> None:
    def seconds(count: int) -> float:
        data, first = bytearray(b"\xff\xd8\xff\xda\x00\x02"), FirstJpeg()
        begun = time.process_time()
        for _ in range(count):
            data += b"\xff\x00x" * 20
            assert not first.advance(data)
        return time.process_time() - begun

    seconds(1000)
    assert seconds(40_000) < 12 * max(seconds(10_000), 0.01)


# Nothing stays behind


async def test_neither_the_error_nor_its_traceback_keeps_the_body_alive() -> None:
    async def cut(talk: Talk) -> None:
        await talk.say(ok(b"\xff" * 700_000, length=900_000))

    async with raw_camera(cut) as camera, acquirer() as fetcher:
        kept = [await outcome(fetcher, camera.camera()) for _ in range(5)]
        assert all(isinstance(came, CameraError) for came in kept)
        gc.collect()
        large = [thing for thing in gc.get_objects() if isinstance(thing, bytearray) and len(thing) > 100_000]
        held: list[object] = []
        for error in kept:
            assert isinstance(error, CameraError)
            assert error.__context__ is None
            frame = error.__traceback__
            while frame is not None:
                held += [value for value in frame.tb_frame.f_locals.values() if isinstance(value, bytes | bytearray)]
                frame = frame.tb_next
        assert large == []
        assert held == []


# Fuzz


def test_mutated_answers_end_as_a_picture_or_an_error_state() -> None:
    seeds = [
        ok(JPEG[:3000] + b"\xff\xd9"),
        ok(JPEG[:2000], "Transfer-Encoding: chunked", length=None),
        ok(b"7d0\r\n" + JPEG[:2000] + b"\r\n0\r\n\r\n", "Transfer-Encoding: chunked", length=None),
        ok(b"--b\r\nContent-Type: image/jpeg\r\n\r\n" + JPEG[:2000], length=None, kind="multipart/x-mixed-replace"),
        ok(gzip.compress(JPEG[:2000]), "Content-Encoding: gzip"),
        b'HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm="Sk\xe5bu", nonce="n", qop="auth"\r\n\r\n',
        b"HTTP/1.1 302 Go\r\nLocation: http://127.0.0.1/x\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 503 Busy\r\nRetry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\n\r\n",
    ]
    chance = random.Random(20260301)

    def mutated() -> bytes:
        answer = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 6)):
            at = chance.randrange(len(answer))
            match chance.randrange(4):
                case 0:
                    answer[at] = chance.randrange(256)
                case 1:
                    del answer[at : at + chance.randint(1, 40)]
                case 2:
                    answer[at:at] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 20)))
                case 3:
                    answer[at:at] = chance.choice([b"\r\n", b"\n", b"\r", b"\0", b":", b'"', b"\xff\xd8", b"HTTP/1.1 "])
            answer = answer or bytearray(b"x")
        return bytes(answer)

    async def run() -> None:
        async def script(talk: Talk) -> None:
            await talk.say(mutated())

        async with raw_camera(script) as camera, acquirer(timeout_s=0.5, default_login=login()) as fetcher:
            for n in range(400):
                came = await outcome(fetcher, camera.camera(camera_id=f"c{n}", path=f"/{n}"))
                assert not isinstance(came, CameraError) or came.state is not ErrorState.INTERNAL, came.detail
                if isinstance(came, CameraError):
                    assert len(came.detail) <= 200
                    assert came.detail.isprintable()

    for factory in (asyncio.new_event_loop, uvloop.new_event_loop):
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(run())


@given(data=st.binary(max_size=2000), cuts=st.lists(st.integers(0, 2000), max_size=20))
@settings(max_examples=300, deadline=None)
def test_chunks_come_out_the_same_however_they_are_cut(data: bytes, cuts: list[int]) -> None:
    sent = b"".join(b"%x;ext\r\n%s\r\n" % (len(part), part) for part in (data[:700], data[700:]) if part) + b"0\r\n\r\n"
    edges = sorted({0, len(sent), *(cut % len(sent) for cut in cuts)})
    chunks = Chunks()
    assert b"".join(chunks.feed(sent[a:b]) for a, b in itertools.pairwise(edges)) == data
    assert chunks.ended


@given(data=st.binary(max_size=400), step=st.integers(1, 50))
@settings(max_examples=500, deadline=None)
def test_no_bytes_upset_the_readers(data: bytes, step: int) -> None:
    buffer, first = bytearray(), FirstJpeg()
    for at in range(0, len(data), step):
        buffer += data[at : at + step]
        if first.advance(buffer):
            assert 0 <= first.start < first.end <= len(buffer)
            break
    is_whole(data)
    chunks = Chunks()
    with suppress(ProtocolError):
        chunks.feed(data)


@given(step=st.integers(1, 997))
@settings(max_examples=20, deadline=None)
def test_the_first_jpeg_is_found_however_it_arrives(step: int) -> None:
    thumbnail = jpeg(32, 18)
    wrapped = b"\xff\xd8\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail + JPEG[2:]
    stream = b"--b\r\n\r\n" + wrapped + b"\r\n--b\r\n\r\n" + JPEG
    buffer, first = bytearray(), FirstJpeg()
    for at in range(0, len(stream), step):
        buffer += stream[at : at + step]
        if first.advance(buffer):
            break
    assert bytes(buffer[first.start : first.end]) == wrapped


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 2}, {"optimize": True}])
def test_every_kind_of_jpeg_is_followed_to_its_end(options: dict[str, object]) -> None:
    data = jpeg(200, 120, **options)
    first = FirstJpeg()
    assert first.advance(data + b"vendor bytes \xff\xd9")
    assert first.end == len(data)
    assert is_whole(data + b"vendor bytes")
    assert not is_whole(data[:-2])
