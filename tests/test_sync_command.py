"""`cctv-images sync` as people and timers use it: sentences, exit codes, reports, and what an interruption leaves."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import pty
import signal
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from program import COMMAND, Program, finished, until
from s3 import Weed
from test_publish_store import aws

from cctv_images.cli import main
from cctv_images.publish.s3 import S3Store

QUICKLY = """
import sys
from cctv_images.cli import main
from cctv_images.commands import sync_run
sync_run.TOLD_S = 0.6
sys.exit(main())
"""
"""The program, which tells how it goes more than once a minute."""
KEYS = [f"134/2026/03/{day:02}/{n:06}Z.jpg" for day in (1, 2, 3) for n in range(10)]


@pytest.fixture
def program(tmp_path: Path, weed: Weed) -> Program:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    keys = {"AWS_ACCESS_KEY_ID": weed.access_key, "AWS_SECRET_ACCESS_KEY": weed.secret_key, "AWS_REGION": weed.region}
    return Program(tmp_path, {**keys, "AWS_ENDPOINT_URL_S3": weed.endpoint})


def fill(program: Program, *keys: str, size: int = 1000) -> tuple[str, str]:
    """The addresses of a full and an empty folder."""
    for key in keys or KEYS:
        path = program.folder / "a" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(size))
    return f"file://{program.folder}/a", f"file://{program.folder}/b"


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def history(program: Program) -> list[dict[str, Any]]:
    return json.loads((await program("sync", "history", "--json")).out)  # type: ignore[no-any-return]


async def test_it_copies_says_so_and_is_remembered(program: Program) -> None:
    source, destination = fill(program)
    done = await program("sync", source, destination)
    assert (done.code, done.err) == (0, "")
    assert "30 missing at the destination" in done.out
    assert done.out.endswith("The destination has everything.\n")
    assert files(program.folder / "a") == files(program.folder / "b")
    again = await program("sync", source, destination, "--json")
    report = json.loads(again.out)
    assert (again.code, report["complete"], report["classes"]["same"]["objects"]) == (0, True, 30)
    assert report["copied"] == {"objects": 0, "bytes": 0}
    last, first = await history(program)
    assert (last["id"], first["copied"]["objects"]) == (report["id"], 30)
    shown = await program("sync", "show", first["id"])
    assert (shown.code, shown.out.splitlines()) == (0, done.out.splitlines())
    assert json.loads((await program("sync", "show", last["id"], "--json")).out) == last
    assert f"{first['id']}  finished  complete" in (await program("sync", "history")).out


async def test_what_is_missing_is_an_exit_code_a_sentence_and_a_list(program: Program) -> None:
    source, destination = fill(program)
    done = await program("sync", source, destination, "--report-only", "--to", "2026-03-02", "--camera", "134")
    assert (done.code, done.lines) == (1, ["cctv-images: 20 missing at the destination."])
    (run,) = await history(program)
    with gzip.open(program.folder / "state" / "syncs" / run["id"] / "missing.jsonl.gz", "rt") as lines:
        assert [json.loads(line)["key"] for line in lines] == KEYS[:20]
    assert files(program.folder / "b") == {}
    assert (await program("sync", source, destination, "--from", "2026-03-03")).code == 0
    assert sorted(files(program.folder / "b")) == KEYS[20:]


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ("{a}", 2, "expected SOURCE and DESTINATION, or history, or show ID."),
        ("show", 2, "expected SOURCE and DESTINATION, or history, or show ID."),
        ("{a} {b} {b}", 2, "is not understood here."),
        ("/srv/a {b}", 2, "SOURCE is '/srv/a': expected s3://bucket, s3://bucket/prefix or file:///folder"),
        ("{a} s3://Bad_Bucket", 2, "DESTINATION is 's3://Bad_Bucket': a bucket's name is"),
        ("{a} {a}", 2, "SOURCE and DESTINATION are the same place."),
        ("{a} {a}/../a/", 2, "SOURCE and DESTINATION are the same place."),
        ("{a} {a}/134", 2, "DESTINATION lies inside SOURCE."),
        ("{a}/134 {a}", 2, "SOURCE lies inside DESTINATION."),
        ("{a} {a}link/134", 2, "DESTINATION lies inside SOURCE."),
        ("s3://one s3://one", 2, "SOURCE and DESTINATION are the same place."),
        ("s3://one/x s3://one", 2, "SOURCE lies inside DESTINATION."),
        ("{a} {b} --source-profile x", 2, "--source-profile is for s3://, and the source is a folder."),
        ("{a} s3://one --destination-endpoint nowhere", 2, "--destination-endpoint: expected an http:// or https://"),
        ("{a} {b} --from 2026-13-01", 2, '"2026-13-01": expected YYYY-MM-DD'),
        ("{a} {b} --from 2026-03-02 --to 2026-03-01", 2, "--from 2026-03-02 is after --to 2026-03-01"),
        ("{a} {b} --prefix \udcff", 2, "the keys of objects are UTF-8, and what was asked for is not"),
        ("s3://AKIA:secret@one {b}", 2, "an address holds no keys and no password"),
        ("{a} s3://one --destination-endpoint http://AKIA:secret@one", 2, "an address holds no keys"),
        ("{a} {b} --concurrency 0", 2, '"0": expected a number from 1 to 128'),
        ("{a} {b} --max-bytes-per-second fast", 2, '"fast": expected bytes per second such as'),
        ("file:/// {b}", 2, "SOURCE is 'file:///': expected s3://bucket"),
        ("file:///// {b}", 2, "SOURCE is 'file:///': expected s3://bucket"),
        (
            "{a} s3://one --destination-profile none",
            78,
            "Destination: --destination-profile names 'none', which is in none of the AWS shared files.\n",
        ),
        ("{a}/none {b}", 1, "There is no folder"),
        ("{a} {b}/none", 1, "There is no folder"),
        ("{b} {a}", 1, "The source lists nothing that was asked for: there is nothing to compare."),
        ("{a} s3://no-such-bucket", 1, "The destination cannot be listed to its end (no_bucket): there is no bucket"),
        ("s3://no-such-bucket {b}", 1, "The source cannot be listed to its end (no_bucket): there is no bucket"),
        ("show nothing", 1, "there is no sync nothing in"),
        ("show ../locks", 1, "there is no sync ../locks in"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(
    program: Program,
    words: str,
    code: int,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source, destination = fill(program, KEYS[0])
    (program.folder / "alink").symlink_to("a")
    monkeypatch.chdir(program.folder)
    monkeypatch.setattr("cctv_images.commands.sync.be_quiet", lambda: None)  # it is for the whole process
    for name, value in program.env.items():
        monkeypatch.setenv(name, value)
    assert main(["sync", *words.format(a=source, b=destination).split()]) == code
    said = capsys.readouterr()
    assert sentence in said.err
    assert "secret" not in said.err + said.out
    reports = [json.loads(path.read_bytes()) for path in (program.folder / "state").glob("syncs/*/report.json")]
    assert [each["state"] for each in reports] in ([], ["failed"])
    assert reports or code == 2 or "show" in words


async def test_two_accounts_on_two_servers_are_two_profiles(program: Program, weed: Weed) -> None:
    source, _ = fill(program)
    buckets = [f"cctv-{uuid.uuid4().hex[:8]}" for _ in range(2)]
    for bucket in buckets:
        await weed.make_bucket(bucket)
    (program.folder / "aws").write_text(
        f"[profile new]\naws_access_key_id={weed.access_key}\naws_secret_access_key={weed.secret_key}\n"
        f"region=eu-west-1\nendpoint_url={weed.endpoint}\n"
    )
    env = {"AWS_CONFIG_FILE": "aws", "AWS_ACCESS_KEY_ID": "other", "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}
    done = await program("sync", source, f"s3://{buckets[0]}/x", "--destination-profile", "new", **env)
    assert (done.code, done.err) == (0, "")
    profiles = ["--source-profile", "new", "--destination-profile", "new"]
    done = await program("sync", f"s3://{buckets[0]}/x", f"s3://{buckets[1]}", *profiles, "--json", **env)
    report = json.loads(done.out)
    assert (done.code, report["copied_by_server"]["objects"]) == (0, 30)
    wrong = await program("sync", f"s3://{buckets[0]}/x", f"file://{program.folder}/b")
    assert wrong.code == 0
    denied = await program("sync", f"s3://{buckets[0]}/x", f"file://{program.folder}/b", AWS_SECRET_ACCESS_KEY="wrong")
    assert (denied.code, "does not belong to the access key" in denied.err) == (1, True)
    assert weed.secret_key not in denied.err + denied.out + "".join(map(str, await history(program)))


@pytest.mark.parametrize(("link", "target"), [("a/link", "../b"), ("a/134/link", "../../b/134")])
async def test_a_link_from_the_source_into_the_destination_does_not_make_it_grow(
    program: Program, link: str, target: str
) -> None:
    source, destination = fill(program)
    (program.folder / "b" / "134").mkdir()
    (program.folder / link).symlink_to(target)
    for _ in range(2):
        done = await program("sync", source, destination)
        assert (done.code, "passed over  1 × link into the other place" in done.out) == (0, True)
    assert len(files(program.folder / "b")) == len(KEYS)


async def test_what_the_destination_has_only_through_a_link_into_the_source_is_missing_there(program: Program) -> None:
    source, destination = fill(program)
    (program.folder / "b" / "134").symlink_to("../a/134")
    found = await program("sync", source, destination, "--report-only")
    assert (found.code, found.lines) == (1, ["cctv-images: 30 missing at the destination."])
    refused = await program("sync", source, destination)
    assert (refused.code, "30 × refused" in refused.out, "30 failed" in refused.err) == (1, True, True)


async def test_a_link_from_the_destination_into_the_source_changes_nothing_there(program: Program) -> None:
    source, destination = fill(program)
    (program.folder / "a" / "empty-of-names").mkdir()
    (program.folder / "b").mkdir(exist_ok=True)
    (program.folder / "b" / "134").symlink_to("../a/empty-of-names")
    left = program.folder / "a" / "empty-of-names" / ".0123456789abcdef.cctv-tmp"
    left.write_bytes(b"half of one")
    done = await program("sync", source, destination)
    assert (done.code, "a link leads into the other place" in done.out + done.err) == (1, True)
    assert [*left.parent.iterdir()] == [left]


async def test_a_report_that_is_none_of_ours_is_told_and_does_not_hide_the_others(program: Program) -> None:
    assert (await program("sync", *fill(program))).code == 0
    for name, text in (
        ("array", "[]"),
        ("foreign", '{"state": "finished"}'),
        ("cut", '{"id": "x'),
        ("bytes", "\xff"),
        ("deep", "[" * 100_000),
    ):
        folder = program.folder / "state" / "syncs" / name
        folder.mkdir()
        (folder / "report.json").write_bytes(text.encode("latin-1"))
        shown = await program("sync", "show", name)
        assert (shown.code, len(shown.lines)) == (1, 1)
        assert f"the report of {name} cannot be read" in shown.err
    assert len(await history(program)) == 1
    assert "cannot be read" in (await program("sync", "show", "x" * 300)).err


async def slowly(program: Program, *words: str) -> asyncio.subprocess.Process:
    """A sync that has copied something and goes on for long."""
    process = await program.start("sync", *words, "--max-bytes-per-second", "1500", "--concurrency", "2")
    await until(lambda: len(list((program.folder / "b").rglob("*.jpg"))) > 3)
    return process


async def test_the_same_pair_twice_at_once_is_refused_by_name(program: Program) -> None:
    source, destination = fill(program)
    process = await slowly(program, source, destination)
    (program.folder / "alias").symlink_to("a")
    refused = await program("sync", f"file://{program.folder}/%61lias", destination, "--report-only")
    assert refused.code == 1
    assert f"a sync of {source} to {destination} is already running (2" in refused.err
    assert f"process {process.pid})." in refused.err
    beside = await program("sync", source, destination, "--from", "2026-03-03")
    assert beside.code == 0
    process.kill()
    await finished(process)
    assert (await program("sync", source, destination)).code == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
async def test_an_interrupted_sync_leaves_nothing_half_and_is_finished_by_the_next(
    program: Program, number: signal.Signals
) -> None:
    source, destination = fill(program)
    process = await slowly(program, source, destination)
    process.send_signal(number)
    done = await finished(process)
    (run,) = await history(program)
    if number != signal.SIGKILL:
        assert done.code == 1
        assert "Interrupted: run it again to go on; " in done.err
        assert " found and not yet settled." in done.err
    assert run["state"] == ("killed" if number == signal.SIGKILL else "interrupted")
    everything, so_far = files(program.folder / "a"), files(program.folder / "b")
    whole = {key: body for key, body in so_far.items() if not key.endswith(".cctv-tmp")}
    assert whole.items() <= everything.items()
    assert 3 < len(whole) < 30
    assert len(whole) == len(so_far) or number == signal.SIGKILL
    report = json.loads((await program("sync", source, destination, "--json")).out)
    assert (report["complete"], report["copied"]["objects"]) == (True, 30 - len(whole))
    assert files(program.folder / "b") == everything


async def test_the_same_pair_is_one_whether_or_not_its_region_is_named(program: Program, weed: Weed) -> None:
    source, _ = fill(program)
    bucket = f"cctv-{uuid.uuid4().hex[:8]}"
    await weed.make_bucket(bucket)
    process = await program.start("sync", source, f"s3://{bucket}", "--max-bytes-per-second", "1500")
    await until(lambda: [*(program.folder / "state").glob("syncs/*/report.json")])
    refused = await program("sync", source, f"s3://{bucket}", "--destination-region", weed.region)
    assert (refused.code, " is already running (" in refused.err) == (1, True)
    process.kill()
    await finished(process)


async def is_begun(weed: Weed, bucket: str, key: str, upload: str) -> bool:
    """Whether the server knows of a copy in parts."""
    store = await S3Store.open(bucket, aws=aws(weed))
    answer = await store._wire.request("GET", key, query={"uploadId": upload})
    await store.close()
    assert answer.status in (200, 404)
    return answer.status == 200


async def test_the_parts_of_a_killed_copy_are_taken_back_by_the_next(program: Program, weed: Weed) -> None:
    source, _ = fill(program, "large", size=20 << 20)
    bucket = f"cctv-{uuid.uuid4().hex[:8]}"
    await weed.make_bucket(bucket)
    process = await program.start("sync", source, f"s3://{bucket}", "--max-bytes-per-second", "9M")
    await until(lambda: list((program.folder / "state/syncs/locks").glob("*.uploads")))
    process.kill()
    await finished(process)
    (noted,) = (program.folder / "state/syncs/locks").glob("*.uploads")
    key, upload = json.loads(noted.read_text())
    assert (await program("sync", source, f"s3://{bucket}", "--report-only")).code == 1
    assert await is_begun(weed, bucket, key, upload)
    assert (await program("sync", source, f"s3://{bucket}")).code == 0
    assert not list((program.folder / "state/syncs/locks").glob("*.uploads"))
    assert not await is_begun(weed, bucket, key, upload)


async def test_a_report_that_cannot_be_kept_is_a_sentence(program: Program) -> None:
    source, destination = fill(program)
    (program.folder / "state").mkdir()
    (program.folder / "state" / "syncs").touch()
    done = await program("sync", source, destination)
    assert (done.code, len(done.lines)) == (1, 1)
    assert "the report of this sync cannot be kept: " in done.err
    assert files(program.folder / "b") == {}


@pytest.mark.parametrize("code", [0, 1])
async def test_a_full_disk_under_the_log_changes_neither_report_nor_exit_code(program: Program, code: int) -> None:
    source, destination = fill(program)
    if code:
        (program.folder / "b" / "134").touch()
    words = [sys.executable, "-c", QUICKLY, "sync", source, destination, "--max-bytes-per-second", "20000"]
    pipe = asyncio.subprocess.PIPE
    with open("/dev/full", "w") as full:
        process = await asyncio.create_subprocess_exec(*words, cwd=program.folder, stdout=full, stderr=full)
        assert await process.wait() == code
        (run,) = await history(program)
        assert (run["state"], run["complete"]) == ("finished", not code)
        process = await asyncio.create_subprocess_exec(*words, cwd=program.folder, stdout=full, stderr=pipe)
        assert process.stderr is not None
        lines = (await process.stderr.read()).decode().splitlines()
    assert await process.wait() == code
    assert "standard output cannot be written (No space left on device); the report is in " in lines[-1 - code]


async def test_a_person_at_a_terminal_sees_how_it_goes(program: Program) -> None:
    source, destination = fill(program)
    ours, theirs = pty.openpty()
    words = [*COMMAND, "sync", source, destination, "--max-bytes-per-second", "10000"]
    process = await asyncio.create_subprocess_exec(
        *words,
        cwd=program.folder,
        stderr=theirs,
        stdout=asyncio.subprocess.DEVNULL,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(theirs)
    assert await process.wait() == 0
    shown = os.read(ours, 100_000).decode(errors="replace")
    os.close(ours)
    assert "found 30, to do " in shown
    assert "kB/s" in shown
