"""Rows become cameras; rows with problems are named by line and reason and do not stop the rest."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cctv_images.errors import ConfigError
from cctv_images.inventory.camera import Camera
from cctv_images.inventory.parse import Inventory, parse
from cctv_images.inventory.rows import Rules

MAKES = {"sarix": "pelco", "spectraenhanced": "pelco", "advidia": "hikvision", "axis": "axis", "generic": "generic"}
PIN = "ab" * 32


def rules(**changes: Any) -> Rules:
    return Rules(
        find_recipe=lambda model: MAKES.get(model.lower().replace(" ", "")),
        nearest=lambda model: ["Sarix", "Axis"] if model.startswith("S") else [],
        **{"credentials": frozenset({"wisenet", "vault"}), **changes},
    )


def read(document: str | bytes | list[Any] | dict[str, Any], **changes: Any) -> Inventory:
    if isinstance(document, list | dict):
        document = json.dumps(document)
    data = document.encode() if isinstance(document, str) else document
    return parse(data, source_name="cameras", rules=rules(**changes))


def camera(**cells: Any) -> Camera:
    """The camera of one sound row."""
    found = read([{"camera_id": "1", "address": "10.0.0.1", "model": "Axis"} | cells])
    assert not found.rejected
    return next(iter(found.cameras.values()))


def reason(**cells: Any) -> str:
    """Why one row is rejected."""
    found = read([{"camera_id": "1", "address": "10.0.0.1", "model": "Axis"} | cells])
    assert not found.cameras
    [row] = found.rejected
    return row.reason


def refusal(document: Any, **changes: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        read(document, **changes)
    return "\n".join(caught.value.problems)


# Our own columns


def test_our_own_csv_gives_every_field() -> None:
    found = read(
        "camera_id,address,model,name,latitude,longitude,enabled,credentials,channel,interval,path,tls\n"
        f"gate-1,CAM.example:8080, Spectra  Enhanced ,North  gate,30.5,-97.5,yes,vault,3,5m,/x?id=2,PIN:{PIN.upper()}\n"
    )
    assert found.cameras == {
        "gate-1": Camera(
            camera_id="gate-1",
            recipe="pelco",
            model="Spectra  Enhanced",
            host="cam.example",
            port=8080,
            path="/x?id=2",
            name="North gate",
            latitude=30.5,
            longitude=-97.5,
            credentials="vault",
            channel=3,
            interval_s=300.0,
            tls=f"pin:{PIN}",
        )
    }
    assert found.counts == {"enabled": 1}


def test_a_byte_order_mark_and_windows_line_ends_are_read_over() -> None:
    assert list(read(b"\xef\xbb\xbfcamera_id,address,model\r\n7,10.0.0.7,Axis\r\n\r\n").cameras) == ["7"]


def test_empty_optional_cells_mean_the_defaults() -> None:
    row = camera(name="", latitude=None, longitude="", enabled="", credentials="", channel=None, interval="", tls="")
    assert row == Camera("1", "axis", "Axis", host="10.0.0.1")


def test_numbers_in_json_are_ids_too_and_csv_text_stays_as_it_is() -> None:
    assert camera(camera_id=134).camera_id == "134"
    assert camera(camera_id=134.0).camera_id == "134"
    assert list(read("camera_id,address,model\n134.0,10.0.0.1,Axis").cameras) == ["134.0"]


def test_ids_that_differ_only_by_case_are_two_cameras() -> None:
    found = read("camera_id,address,model\nA1,10.0.0.1,Axis\na1,10.0.0.2,Axis")
    assert list(found.cameras) == ["A1", "a1"]


# The city's


AUSTIN = "Camera ID,Location Name,Camera Status,Camera Manufacturer,Location,Longitude,Latitude,Screenshot Address"


def austin(*rows: str, extra: str = "") -> str:
    return "\n".join([AUSTIN + extra, *rows]) + "\n"


def test_the_citys_export_is_understood_and_rows_that_are_not_turned_on_are_counted_only() -> None:
    found = read(
        austin(
            '1," OAK ST / ELM ST, NORTH",TURNED_ON,Sarix,"(30.1, -97.1)",-97.1,30.1,http://x.invalid/1.jpg,10.0.0.1',
            '2,ELM ST,TURNED_ON,Spectra Enhanced,"(30.2, -97.2)",,,http://x.invalid/2.jpg,10.0.0.2',
            "3,,DESIRED,,,,,,",
            "4,,DESIRED,,not a place,bad,worse,,999.1.1.1",
            "5,,REMOVED,Axis,,,,,",
            "../../6,,VOID,nobody,,,,,",
            "7,,,,,,,,",
            extra=",Address",
        )
    )
    assert found.rejected == []
    assert found.cameras["1"].name == "OAK ST / ELM ST, NORTH"
    assert (found.cameras["2"].latitude, found.cameras["2"].longitude) == (30.2, -97.2)
    assert found.counts == {"TURNED_ON": 2, "DESIRED": 2, "REMOVED": 1, "VOID": 1, "(blank)": 1}
    assert list(found.paused) == ["3", "4", "5", "7"]
    assert not found.paused["5"].enabled
    assert found.paused["5"].status == "REMOVED"


def test_where_pictures_are_published_is_never_where_a_camera_is_asked() -> None:
    found = read(austin("1,OAK ST,TURNED_ON,Sarix,,,,http://x.invalid/1.jpg"))
    assert [str(row) for row in found.rejected] == ["line 2 (camera 1): there is no address"]
    sentence = refusal(austin("1,OAK ST,TURNED_ON,Sarix,,,,"), columns={"address": "Screenshot Address"})
    assert "published" in sentence


def test_a_fleet_with_the_citys_dirt_loads_as_it_should() -> None:
    out = io.StringIO(newline="")
    table = csv.writer(out)
    table.writerow([*AUSTIN.split(","), "Address"])
    for n in range(600):
        status = "TURNED_ON" if n % 6 else "DESIRED"
        model = ("Sarix", "Spectra Enhanced", "Advidia", "Axis")[n % 4] if n % 6 else ""
        position = f"(30.{n:03}, -97.{n:03})"
        table.writerow([n, f' {n} ST, "A" / B\nST', status, model, position, "", "", "", f"10.1.{n // 250}.{n % 250}"])
    found = read(out.getvalue())
    assert found.rejected == []
    assert len(found.cameras) == 500
    assert found.counts == {"TURNED_ON": 500, "DESIRED": 100}
    assert found.cameras["1"].name == '1 ST, "A" / B ST'


def test_socratas_answer_is_understood_with_both_forms_of_a_position() -> None:
    found = read(
        [
            {
                "camera_id": "1",
                "location_name": " OAK ST",
                "camera_status": "TURNED_ON",
                "camera_mfg": "Sarix",
                "location": {"latitude": "30.5", "longitude": "-97.5", "human_address": "{}"},
                "screenshot_address": {"url": "http://x.invalid/1.jpg"},
                "address": "10.0.0.1",
            },
            {
                "camera_id": "2",
                "camera_status": "TURNED_ON",
                "camera_mfg": "Axis",
                "location": {"type": "Point", "coordinates": [-97.5, 30.5]},
                "address": "10.0.0.2",
            },
            {"camera_id": "3", "camera_mfg": "Axis", "address": "10.0.0.3"},
        ]
    )
    assert [(c.latitude, c.longitude) for c in found.cameras.values()] == [(30.5, -97.5)] * 2
    assert found.cameras["1"].name == "OAK ST"
    assert found.counts == {"TURNED_ON": 2, "(blank)": 1}


KNACK_RECORD = {
    "id": "5a0f",
    "field_947": 134,
    "field_947_raw": 134,
    "field_638": "<span>10.0.0.134</span>",
    "field_638_raw": " 10.0.0.134 ",
    "field_639": "Sarix",
    "field_639_raw": ["Sarix"],
    "field_1866": "No",
    "field_1866_raw": False,
    "field_211": "OAK ST",
    "field_211_raw": [{"id": "5b", "identifier": "OAK ST"}],
    "field_182": '<a href="x">30.5, -97.5</a>',
    "field_182_raw": {"latitude": 30.5, "longitude": -97.5},
}


def knack(*records: dict[str, Any], **envelope: Any) -> dict[str, Any]:
    whole = {"total_pages": 1, "current_page": 1, "total_records": len(records), "records": list(records)}
    return whole | envelope


def test_knacks_answer_is_understood_by_the_citys_field_keys() -> None:
    hidden = KNACK_RECORD | {"field_947": 2, "field_947_raw": 2, "field_1866": "Yes", "field_1866_raw": True}
    found = read(knack(KNACK_RECORD, hidden))
    assert found.rejected == []
    assert found.cameras == {
        "134": Camera("134", "pelco", "Sarix", host="10.0.0.134", name="OAK ST", latitude=30.5, longitude=-97.5)
    }
    assert list(found.paused) == ["2"]
    assert found.counts == {"enabled": 1, "not published": 1}


def test_other_field_keys_are_named_by_setting() -> None:
    columns = {"camera_id": "field_1", "address": "field_2", "model": "field_3", "status": "field_4"}
    row = {"field_1": "a", "field_2": "10.0.0.1", "field_3": "Axis", "field_4": "TURNED_ON"}
    assert list(read(knack(row, row | {"field_1": "b", "field_4": "VOID"}), columns=columns).cameras) == ["a"]


def test_an_override_for_a_column_that_is_not_there_is_told_with_the_headings() -> None:
    sentence = refusal("id,address,model\n1,10.0.0.1,Axis", columns={"camera_id": "field_1"})
    assert "field_1" in sentence
    assert "id, address, model" in sentence


@pytest.mark.parametrize("envelope", [{"total_pages": 3}, {"total_pages": "2"}, {"total_records": 7}])
def test_one_page_of_knacks_answer_is_not_believed(envelope: dict[str, Any]) -> None:
    assert "cameras" in refusal(knack(KNACK_RECORD, **envelope))


def test_geojson_is_understood() -> None:
    point = {"type": "Point", "coordinates": [-97.5, 30.5, 180.0]}
    properties = {"camera_id": 1, "address": "10.0.0.1", "model": "Axis"}
    found = read(
        {
            "type": "FeatureCollection",
            "features": [
                {"type": "Feature", "properties": properties, "geometry": point},
                {"type": "Feature", "properties": properties | {"camera_id": 2}, "geometry": None},
                {"type": "Feature", "properties": None, "geometry": None},
            ],
        }
    )
    assert (found.cameras["1"].latitude, found.cameras["1"].longitude) == (30.5, -97.5)
    assert found.cameras["2"].latitude is None
    assert [str(row) for row in found.rejected] == ["row 3: it is not an object"]


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        ("(30.5, -97.5)", (30.5, -97.5)),
        ("POINT (-97.5 30.5)", (30.5, -97.5)),
        ("6th and Main", (None, None)),
        ({"type": "Polygon", "coordinates": []}, (None, None)),
        ({"latitude": None, "longitude": None}, (None, None)),
    ],
)
def test_a_position_in_one_cell_is_read_in_every_form_seen(position: Any, expected: Any) -> None:
    row = camera(location=position)
    assert (row.latitude, row.longitude) == expected


# Enabled or not


@pytest.mark.parametrize("word", ["true", "TRUE", "1", "yes", "Yes", True, 1])
def test_words_that_enable(word: Any) -> None:
    assert camera(enabled=word).enabled


@pytest.mark.parametrize("word", ["false", "0", "no", "NO", False, 0])
def test_words_that_pause_and_nothing_else_of_such_a_row_is_checked(word: Any) -> None:
    found = read([{"camera_id": "1", "enabled": word, "address": "//", "model": "?", "latitude": "x"}])
    assert (found.rejected, list(found.paused), found.counts) == ([], ["1"], {"not enabled": 1})


def test_any_other_word_is_a_mistake() -> None:
    assert "'perhaps'" in reason(enabled="perhaps")


def test_a_retired_row_beside_the_row_of_its_successor_is_no_double() -> None:
    found = read("camera_id,address,model,enabled\n1,10.0.0.1,Axis,no\n1,10.0.0.2,Axis,yes")
    assert found.cameras["1"].host == "10.0.0.2"
    assert (found.paused, found.rejected) == ({}, [])


# Mistakes in rows


def test_mistakes_are_named_by_physical_line_and_the_rest_runs() -> None:
    found = read('camera_id,address,model,name\n1,10.0.0.1,Axis,"two\nlines"\n\n2,,Axis,\n3,10.0.0.3,Axis,\n')
    assert list(found.cameras) == ["1", "3"]
    assert [(row.line, row.camera_id) for row in found.rejected] == [(5, "2")]


def test_all_mistakes_of_a_row_are_told_together() -> None:
    text = reason(address="10.0.0.1:0", model="Sorix", latitude="91", channel="one", tls="maybe")
    for part in ("port", "'Sorix'", "latitude", "channel", "tls"):
        assert part in text


def test_two_rows_with_one_id_are_both_rejected_by_name() -> None:
    found = read("camera_id,address,model\n1,10.0.0.1,Axis\n2,10.0.0.2,Axis\n1,,\n")
    assert list(found.cameras) == ["2"]
    assert [(row.line, row.camera_id) for row in found.rejected] == [(2, "1"), (4, "1")]
    assert "line 4" in found.rejected[0].reason
    assert "line 2" in found.rejected[1].reason


def test_a_column_full_of_one_id_is_told_in_short_sentences() -> None:
    found = read("camera_id,address,model\n" + "1,10.0.0.1,Axis\n" * 50)
    assert found.rejected[0].reason == "camera_id 1 is also on line 3, 4, 5 and 46 more"
    assert found.rejected[49].reason == "camera_id 1 is also on line 2, 3, 4 and 46 more"


def test_a_table_of_a_hundred_thousand_rows_is_no_inventory() -> None:
    assert "100001 rows" in refusal("camera_id,address,model\n" + "1,10.0.0.1,Axis\n" * 100_001)


@pytest.mark.parametrize(
    "bad", ["../../x", "", ".hidden", "-1", "a/b", "a b", "ä", "x" * 65, "a\tb", "1\x00", "%2e", "a\nb", "１"]
)
def test_ids_that_are_none(bad: str) -> None:
    assert "camera_id" in reason(camera_id=bad)


def test_a_nested_value_is_a_mistake() -> None:
    assert "camera_id is a nested value" in reason(camera_id={"a": 1})
    assert "name is a nested value" in reason(name=[{"a": [1]}])


def test_an_unknown_model_is_told_with_the_nearest_known() -> None:
    assert reason(model="Sorix 3") == "the model 'Sorix 3' is not known; nearest: Sarix, Axis"
    assert reason(model="Zzz") == "the model 'Zzz' is not known"


def test_a_host_needs_a_model_and_a_full_url_does_not() -> None:
    assert "model" in reason(model="")
    row = camera(model="", address="https://cam.example:8443/snap.cgi?chn=1")
    assert (row.recipe, row.scheme, row.host, row.port, row.path) == (
        "generic",
        "https",
        "cam.example",
        8443,
        "/snap.cgi?chn=1",
    )
    assert camera(model="", address="http://cam.example").path == "/"
    assert camera(model="", address="rtsp://10.0.0.1//Streaming/Channels/1").scheme == "rtsp"


def test_a_url_with_a_model_gives_scheme_and_host_and_its_path_if_it_has_one() -> None:
    assert camera(address="https://10.0.0.1/").path is None
    assert camera(address="https://10.0.0.1/own.jpg").path == "/own.jpg"
    assert camera(address="https://10.0.0.1/own.jpg", path="/other.jpg").path == "/other.jpg"
    assert "generic" in reason(model="generic")
    assert camera(model="generic", path="/x.jpg").path == "/x.jpg"


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("latitude", "91"),
        ("latitude", "nan"),
        ("latitude", "30,5"),
        ("longitude", "-180.5"),
        ("longitude", "inf"),
        ("interval", "0"),
        ("interval", "-5"),
        ("interval", "0.5"),
        ("interval", "often"),
        ("interval", "8d"),
        ("interval", 1e99),
        ("channel", "1.5"),
        ("channel", "-1"),
        ("channel", "٣"),
        ("channel", True),
        ("tls", "none"),
        ("tls", "pin:abc"),
        ("tls", "pin:" + "zz" * 32),
        ("credentials", "vaullt"),
        ("path", "snap.jpg"),
        ("path", "/a b"),
        ("path", "/a\r\nX: y"),
        ("path", "/a?user=u&pwd=secret"),
        ("path", "/ä"),
        ("enabled", "2"),
    ],
)
def test_cells_that_are_wrong_are_named_by_their_column(column: str, value: Any) -> None:
    text = reason(**{column: value})
    assert column in text
    assert "secret" not in text


def test_an_interval_shorter_than_its_attempts_is_a_mistake() -> None:
    found = read("camera_id,address,model,interval\n1,10.0.0.1,Axis,90\n2,10.0.0.2,Axis,2m", shortest_interval_s=93)
    assert list(found.cameras) == ["2"]
    assert "93 s" in found.rejected[0].reason


def test_near_names_of_credentials_are_offered() -> None:
    assert "did you mean vault?" in reason(credentials="vaullt")
    assert camera(credentials="wisenet").credentials == "wisenet"


def test_a_fingerprint_may_be_written_as_openssl_prints_it() -> None:
    assert camera(tls="pin:" + ":".join(["AB"] * 32)).tls == f"pin:{PIN}"


@pytest.mark.parametrize(
    "column", ["camera_id", "address", "model", "credentials", "channel", "interval", "tls", "path"]
)
def test_credentials_in_any_cell_are_never_repeated(column: str) -> None:
    assert "hunter2" not in reason(**{column: "http://admin:hunter2@10.0.0.1/x"})


# Broken tables


def test_a_quote_that_is_never_closed_costs_its_own_row_only() -> None:
    found = read('camera_id,address,model,name\n1,10.0.0.1,Axis,"OAK\n2,10.0.0.2,Axis,"ELM"\n3,10.0.0.3,Axis,\n')
    assert list(found.cameras) == ["2", "3"]
    [row] = found.rejected
    assert (row.line, row.camera_id) == (2, "1")


def test_text_behind_a_closing_quote_costs_its_own_row_only() -> None:
    found = read('camera_id,address,model,name\n1,10.0.0.1,Axis,"6TH ST" / RED\n2,10.0.0.2,Axis,\n')
    assert (list(found.cameras), found.rejected[0].camera_id) == (["2"], "1")


def test_a_row_with_too_many_or_too_few_cells_is_named() -> None:
    found = read("camera_id,address,model\n1,10.0.0.1,Axis,,\n2,10.0.0.2,Axis,x\n3,10.0\n")
    assert list(found.cameras) == ["1"]
    assert [(row.line, row.camera_id) for row in found.rejected] == [(3, "2"), (4, "3")]
    assert "4 cells where the header has 3" in found.rejected[0].reason


def test_rows_of_json_that_are_no_objects_are_named_by_their_place() -> None:
    found = read([{"camera_id": 1, "address": "10.0.0.1", "model": "Axis"}, 7, None])
    assert [str(row) for row in found.rejected] == ["row 2: it is not an object", "row 3: it is not an object"]


# Documents that are none


@pytest.mark.parametrize(
    ("document", "part"),
    [
        (b"", "is empty"),
        (b" \r\n\n", "is empty"),
        (b"camera_id,address,model\n", "no rows"),
        (b"[]", "no rows"),
        (b'{"records": []}', "no rows"),
        (b'{"type": "FeatureCollection", "features": []}', "no rows"),
        (b"camera_id,address,model\n1,10.0.0.1,Caf\xe9\n", "line 2 has the byte 0xE9"),
        ("camera_id,address,model\n".encode("utf-16"), "UTF-16"),
        (b"PK\x03\x04....", "spreadsheet"),
        (b"<!DOCTYPE html><html></html>", "HTML"),
        (b"camera_id,address\n1,a\x00b\n", "NUL"),
        (b'[{"camera_id": 1},', "is not JSON"),
        (b'{"error": true}', "array of objects"),
        (b"[" * 200_000, "nested too deep"),
        (b"[" + b"9" * 5000 + b"]", "number too long"),
        (b"camera_id;address;model\n1;10.0.0.1;Axis\n", "other than commas"),
        (b"camera_id\taddress\tmodel\n1\t10.0.0.1\tAxis\n", "other than commas"),
        (b"id,address\n1,10.0.0.1\n", "no camera_id column; headings found: id, address."),
        (b"1,10.0.0.1,Axis\n2,10.0.0.2,Axis\n", "no camera_id column"),
        (b'"camera_id\n', "no header"),
        (b"camera_id,address,Address\n1,a,b\n", "the heading address 2 times"),
        (b'[{"id": 1}]', "headings found: id."),
    ],
)
def test_documents_that_are_no_inventory_are_refused_in_a_sentence(document: bytes, part: str) -> None:
    sentence = refusal(document)
    assert part in sentence
    assert sentence.startswith("cameras ")


def test_a_table_without_a_header_does_not_give_its_credentials_away() -> None:
    assert "hunter2" not in refusal("1,http://admin:hunter2@10.0.0.1/x,Axis\n2,10.0.0.2,Axis\n")


@given(st.binary(max_size=300) | st.text(alphabet='camera_id,"\n;{}[]:1. ', max_size=300).map(str.encode))
def test_no_document_ends_in_anything_but_an_inventory_or_a_sentence(document: bytes) -> None:
    with contextlib.suppress(ConfigError):
        read(document)
    with contextlib.suppress(ConfigError):
        found = read(b"camera_id,address,model,name\n" + document)
        assert all(row.reason and row.line > 0 for row in found.rejected)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
        max_leaves=8,
    )
)
def test_no_value_in_any_cell_ends_in_anything_but_a_camera_or_a_sentence(value: Any) -> None:
    columns = ["camera_id", "address", "model", "name", "latitude", "location", "enabled", "camera_status"]
    columns += ["credentials", "channel", "interval", "path", "tls"]
    for column in columns:
        read([{"camera_id": "1", "address": "10.0.0.1", "model": "Axis", column: value}])
