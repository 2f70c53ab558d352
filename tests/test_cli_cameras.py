"""check and probe: what they say of rows, stores and cameras, and what they exit with."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from pathlib import Path

import pytest
from needs import needs
from program import Program, finished, until
from zoo import self_signed, zoo_of

from cctv_images.simulate.faults import Fault
from cctv_images.simulate.server import Zoo

HEADER = "camera_id,address,model,credentials\n"


@pytest.fixture
def program(tmp_path: Path) -> Program:
    env = {
        "CCTV_INVENTORY": "cameras.csv",
        "CCTV_STORE": f"file://{tmp_path}/store",
        "CCTV_LISTEN": "",
        "CCTV_TIMEOUT": "5",
    }
    return Program(tmp_path, env)


def furnish(program: Program, zoo: Zoo) -> None:
    (program.folder / "cameras.csv").write_text(zoo.inventory_csv())
    program.env["CCTV_CREDENTIALS"] = json.dumps(zoo.credentials())


# --- check --------------------------------------------------------------------------------------------------------


async def test_a_good_configuration_is_summed_up(program: Program) -> None:
    (program.folder / "cameras.csv").write_text(
        "camera_id,address,model,camera_status\n"
        "1,10.0.0.1,pelco,TURNED_ON\n2,10.0.0.2,Spectra HD,TURNED_ON\n3,,,DESIRED\n"
    )
    done = await program("check")
    assert (done.code, done.err) == (0, "")
    for words in (
        "2 cameras (pelco 2)",
        "TURNED_ON 2, DESIRED 1",
        "file:///",
        "every 5m",
        "not archived",
        "fingerprint",
    ):
        assert words in done.out
    assert done.out.endswith("\nNo mistakes found.\n")
    assert not (program.folder / "state").exists()
    assert not (program.folder / "store").exists()


async def test_every_bad_row_is_named_by_its_line_and_the_rest_is_counted(program: Program) -> None:
    (program.folder / "cameras.csv").write_text(
        HEADER + "1,10.0.0.1,pelco,\n../../x,10.0.0.2,pelco,\n3,http://u:geheim@10.0.0.3/,pelco,\n"
        "4,10.0.0.4,pelko,\n5,10.0.0.5,axis,\n5,10.0.0.6,axis,\n7,,axis,\n8,10.0.0.8,axis,nobody\n"
    )
    done = await program("check")
    assert done.code == 1
    rejected = [line for line in done.out.splitlines() if line.startswith("rejected")]
    assert [line.split()[2].rstrip(":") for line in rejected] == ["3", "4", "5", "6", "7", "8", "9"]
    assert "nearest: Pelco" in done.out
    assert "geheim" not in done.out + done.err
    assert done.out.endswith("7 rows of the inventory rejected.\n")


async def test_a_report_for_machines_is_one_document(program: Program) -> None:
    (program.folder / "cameras.csv").write_text(HEADER + "1,10.0.0.1,pelco,\n2,10.0.0.2,pelko,\n")
    done = await program("check", "--json")
    report = json.loads(done.out)
    assert (done.code, report["ok"], report["cameras"], report["makes"]) == (1, False, 1, {"pelco": 1})
    assert report["rejected"] == [{"line": 3, "camera_id": "2", "reason": report["rejected"][0]["reason"]}]


async def test_mistakes_for_machines_are_one_document_too(program: Program) -> None:
    done = await program("check", "--json", CCTV_INTERVAL="x", CCTV_INVENTORY="missing.csv")
    assert done.code == 78
    assert len(json.loads(done.out)["mistakes"]) == 2
    assert "CCTV_INTERVAL" in done.err


async def test_a_list_that_is_out_of_reach_is_no_mistake_of_the_operator(program: Program) -> None:
    done = await program("check", CCTV_INVENTORY="http://127.0.0.1:9/cameras.json")
    assert done.code == 1
    assert "out of reach" in done.out


async def test_a_fleet_that_answers_is_good(program: Program) -> None:
    async with zoo_of({"a": ("pelco-open", "none"), "b": ("pelco-open", "none")}) as zoo:
        furnish(program, zoo)
        done = await program("check", "--online")
    assert (done.code, done.err) == (0, "")
    assert "takes, gives back and deletes a canary" in done.out
    assert [p for p in (program.folder / "store").rglob("*") if p.is_file()] == []


async def test_cameras_that_fail_are_listed_with_what_to_do(program: Program) -> None:
    async with zoo_of(
        {"a": ("pelco-open", "none"), "b": ("pelco-open", "not_found"), "c": ("pelco-open", "truncated")}
    ) as zoo:
        furnish(program, zoo)
        done = await program("check", "--online")
        report = json.loads((await program("check", "--online", "--json")).out)
    assert done.code == 1
    assert "2 of 3 cameras gave no picture" in done.out
    assert "wrong model in the inventory? try probe" in done.out
    assert {c["camera_id"]: c["error_state"] for c in report["online"]["cameras"]} == {
        "a": None, "b": "not_found", "c": "truncated",
    }  # fmt: skip


async def test_a_store_that_refuses_is_told_with_the_missing_right(program: Program) -> None:
    async with zoo_of({"a": ("pelco-open", "none")}) as zoo:
        furnish(program, zoo)
        (program.folder / "store").mkdir()
        (program.folder / "store" / "image").write_text("a file where a folder should be")
        done = await program("check", "--online")
    assert done.code == 1
    assert "writing the canary failed" in done.out
    assert "The store fails." in done.out


async def test_ctrl_c_ends_without_a_word(program: Program) -> None:
    async with zoo_of({"a": ("pelco-open", "silent")}) as zoo:
        furnish(program, zoo)
        process = await program.start("check", "--online", CCTV_TIMEOUT="60")
        await until(lambda: zoo.counts("a").connections)
        process.send_signal(signal.SIGINT)
        done = await finished(process)
    assert (done.code, done.out, done.err) == (130, "", "")


# --- probe --------------------------------------------------------------------------------------------------------


async def test_a_probe_explains_a_login_without_the_password_and_keeps_the_picture(program: Program) -> None:
    async with zoo_of({"a": ("axis-new", "none")}) as zoo:
        furnish(program, zoo)
        done = await program("probe", "a", "-o", "still.jpg")
        account = zoo.residents["a"].camera.account
    assert (done.code, done.err) == (0, "")
    assert "GET http://127.1.0.1" in done.out
    assert "a whole picture of 1280x720" in done.out
    assert (program.folder / "still.jpg").read_bytes().startswith(b"\xff\xd8")
    assert account is not None
    assert account.username in done.out
    assert account.password not in done.out
    assert "ms  login " in done.out


async def test_a_probe_of_a_sick_camera_says_what_to_do(program: Program) -> None:
    async with zoo_of({"a": ("pelco-open", "not_found")}) as zoo:
        furnish(program, zoo)
        done = await program("probe", "a", "-o", "still.jpg")
        document = json.loads((await program("probe", "a", "--json")).out)
    assert done.code == 1
    assert "error_state not_found" in done.out
    assert "To do: wrong model in the inventory? try probe." in done.out
    assert not (program.folder / "still.jpg").exists()
    assert (document["ok"], document["error_state"]) == (False, "not_found")
    assert document["steps"][0]["phase"] == "request"


async def test_probes_offer_a_refused_login_twice_at_most(program: Program) -> None:
    async with zoo_of({"a": ("axis-new", "wrong_password")}) as zoo:
        furnish(program, zoo)
        ends = [await program("probe", "a") for _ in range(4)]
        refused = zoo.login_counts("a").refused
    assert [end.code for end in ends] == [1, 1, 1, 1]
    assert "login withheld until" in ends[-1].out
    assert refused <= 2


async def test_a_camera_in_no_inventory_can_be_probed_with_no_settings_at_all(tmp_path: Path) -> None:
    async with zoo_of({"a": ("pelco-open", "none")}) as zoo:
        done = await Program(tmp_path)("probe", "--address", zoo.address("a"), "--model", "Spectra Enhanced")
    assert (done.code, done.err) == (0, "")
    assert "a whole picture" in done.out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("probe cam-11", "there is no camera cam-11 in cameras.csv; did you mean cam-1?"),
        ("probe cam-2", "camera cam-2 is not enabled in cameras.csv (DESIRED); --address asks it all the same."),
        ("probe cam-3", "camera cam-3 was rejected: line 4 (camera cam-3): the model 'pelko' is not known"),
        ("probe --address 10.0.0.1", "this camera cannot be asked"),
        ("probe --address 10.0.0.1 --model pelko", "nearest: Pelco"),
        ("probe --address http://u:geheim@10.0.0.1/", "this camera cannot be asked"),
        ("probe cam-1", "CCTV_STATE_DIR"),
    ],
)
async def test_a_camera_that_cannot_be_probed_is_told_why(program: Program, words: str, sentence: str) -> None:
    (program.folder / "cameras.csv").write_text(
        "camera_id,address,model,camera_status\n"
        "cam-1,127.0.0.1:9,pelco,TURNED_ON\ncam-2,,,DESIRED\ncam-3,10.0.0.3,pelko,TURNED_ON\n"
    )
    done = await program(*words.split(), CCTV_STATE_DIR="cameras.csv")
    assert done.code in (1, 78)
    assert done.out == ""
    assert sentence in done.err
    assert "geheim" not in done.err


async def test_a_picture_that_cannot_be_written_is_told(program: Program) -> None:
    async with zoo_of({"a": ("pelco-open", "none")}) as zoo:
        furnish(program, zoo)
        done = await program("probe", "a", "-o", "no/such/still.jpg")
    assert done.code == 1
    assert done.err == "cctv-images: no/such/still.jpg cannot be written: No such file or directory.\n"


async def test_the_last_good_list_serves_while_the_address_is_out_of_reach(program: Program) -> None:
    done = await program("probe", "a", CCTV_INVENTORY="http://127.0.0.1:9/cameras.json")
    assert done.code == 1
    assert "the inventory is out of reach" in done.err


async def test_many_probes_at_once_share_one_account_of_refusals(program: Program) -> None:
    async with zoo_of({"a": ("axis-new", "wrong_password")}) as zoo:
        furnish(program, zoo)
        await asyncio.gather(*(program("probe", "a") for _ in range(4)))
        assert zoo.login_counts("a").refused <= 2


@needs("openssl")
async def test_the_pin_that_trusts_a_self_signed_camera_is_named_and_works(program: Program, tmp_path: Path) -> None:
    listed = program.folder / "cameras.csv"
    async with zoo_of({"one": ("pelco-open", Fault.TLS_SELF_SIGNED)}, tls=self_signed(tmp_path)) as zoo:
        listed.write_text(f"camera_id,address,model,tls\none,{zoo.address('one')},Pelco,\n")
        done = await program("probe", "one")
        assert done.code == 1
        assert "error_state tls: the certificate is self-signed" in done.out
        pin = re.search(r"tls = (pin:[0-9a-f]{64})", done.out)
        assert pin
        listed.write_text(f"camera_id,address,model,tls\none,{zoo.address('one')},Pelco,{pin[1]}\n")
        assert (await program("probe", "one")).code == 0
