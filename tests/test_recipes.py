"""The make table: names as inventories spell them, requests as they are sent, the documentation that shows it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cctv_images.acquire import quirks
from cctv_images.acquire.recipes import RECIPES, Recipe, find_recipe, nearest, normalised
from cctv_images.errors import ErrorState
from cctv_images.inventory.camera import Camera
from cctv_images.inventory.columns import SYNONYMS

DOCUMENT = Path(__file__).parents[1] / "docs" / "cameras.md"


def camera(recipe: str = "pelco", **more: object) -> Camera:
    return Camera("1", recipe, host="camera.example", **more)  # type: ignore[arg-type]


def target(recipe: str, **more: object) -> str:
    return RECIPES[recipe].target(camera(recipe, **more))


@pytest.mark.parametrize(
    ("spelling", "recipe"),
    [
        ("Sarix", "pelco"),
        ("Spectra Enhanced", "pelco"),
        ("Pelco Sarix Enhanced", "pelco"),
        ("PELCO  sarix-professional", "pelco"),
        ("Spectra HD", "pelco"),
        ("Advidia", "advidia"),
        ("Axis", "axis"),
        ("hik vision", "hikvision"),
        ("HiWatch", "hikvision"),
        ("Hanwha Techwin", "wisenet"),
        ("Samsung Techwin", "wisenet"),
        ("Hanwha Wisenet", "wisenet"),
        ("CohuHd", "cohu"),
        ("Costar", "cohu"),
        ("Bosch MIC", "bosch"),
        ("MIC IP Starlight 7100i", "bosch"),
        ("Amcrest", "dahua"),
        ("i-PRO", "panasonic"),
        ("Panasonic BL", "panasonic-old"),
        ("D-Link", "dlink"),
        ("Generic", "generic"),
        ("Spectra IV", "pelco-pull"),
        ("Hikvision old", "hikvision-old"),
        ("GoAhead", "foscam-old"),
        ("AVTECH", "avtech"),
        ("Reolink", "reolink"),
    ],
)
def test_a_model_is_found_as_inventories_spell_it(spelling: str, recipe: str) -> None:
    found = find_recipe(spelling)
    assert found is RECIPES[recipe]


@pytest.mark.parametrize("spelling", ["", " ", "-", "Sidewinder", "Pelc", "Axis Q9999", "日本"])
def test_what_nobody_knows_is_not_guessed(spelling: str) -> None:
    assert find_recipe(spelling) is None


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("Sarixx", "Sarix"), ("Hikvison", "Hikvision"), ("Axis Q9999", "Axis"), ("Wisnet", "Wisenet")],
)
def test_an_unknown_model_is_answered_with_the_nearest_names(typed: str, offered: str) -> None:
    assert offered in nearest(typed)


@given(st.text(max_size=300))
def test_nearest_offers_only_names_that_are_known(typed: str) -> None:
    offered = nearest(typed)
    assert len(offered) <= 3
    assert all(find_recipe(name) for name in offered)


def test_no_spelling_belongs_to_two_makes() -> None:
    owners: dict[str, str] = {}
    for recipe in RECIPES.values():
        for spelling in {normalised(name) for name in (recipe.name, *recipe.aliases)}:
            assert owners.setdefault(spelling, recipe.name) == recipe.name, spelling


@pytest.mark.parametrize(
    ("recipe", "sent"),
    [
        ("pelco", "/jpeg?id=2"),
        ("advidia", "/ISAPI/Streaming/channels/101/picture"),
        ("wisenet", "/stw-cgi/video.cgi?msubmenu=snapshot&action=view&Profile=1&Channel=0"),
        ("axis", "/axis-cgi/jpg/image.cgi"),
        ("cohu", "/jpegpull/snapshot"),
        ("dahua", "/cgi-bin/snapshot.cgi?channel=1"),
        ("uniview", "/LAPI/V1.0/Channels/0/Media/Video/Streams/0/Snapshot"),
        ("hikvision-old", "/Streaming/channels/1/picture"),
        ("reolink", "/cgi-bin/api.cgi?cmd=Snap&channel=0"),
        ("foscam", "/cgi-bin/CGIProxy.fcgi?cmd=snapPicture2&usr={username}&pwd={password}"),
        ("acti", "/cgi-bin/encoder?USER={username}&PWD={password}&SNAPSHOT"),
        ("instar", "/snap.cgi?chn=11&user={username}&pwd={password}"),
        ("2n", "/api/camera/snapshot?width=640&height=480"),
    ],
)
def test_each_make_is_asked_its_own_way(recipe: str, sent: str) -> None:
    assert target(recipe) == sent


@pytest.mark.parametrize(
    ("recipe", "channel", "sent"),
    [
        ("pelco", 1, "/jpeg?id=1"),
        ("hikvision", 12, "/ISAPI/Streaming/channels/1201/picture"),
        ("axis", 3, "/axis-cgi/jpg/image.cgi?camera=3"),
        ("cohu", 0, "/jpegpull/0"),
        ("sony", 1, "/oneshotimage1"),
        ("jvc", 1, "/api/video?encode=jpeg&framerate=0"),
    ],
)
def test_a_channel_goes_where_the_make_wants_it(recipe: str, channel: int, sent: str) -> None:
    assert target(recipe, channel=channel) == sent


@pytest.mark.parametrize("recipe", RECIPES)
def test_no_request_leaves_with_an_unfilled_place(recipe: str) -> None:
    for channel in (None, 0, 7):
        sent = target(recipe, channel=channel).replace("{username}", "u").replace("{password}", "p")
        assert re.fullmatch(r"/[!-~]*", sent)
        assert "{" not in sent
        assert "None" not in target(recipe, channel=channel)


def test_a_row_may_bring_its_own_path() -> None:
    assert target("axis", path="/jpg/image.jpg?size=3", channel=2) == "/jpg/image.jpg?size=3"
    assert target("generic", path="still.jpg") == "/still.jpg"
    assert target("generic", path="/a b%20c?d=%2F+é") == "/a%20b%20c?d=%2F+%C3%A9"
    assert target("axis", path="/axis-cgi/jpg/image.cgi?camera={channel}&resolution=640x480", channel=3).endswith(
        "?camera=3&resolution=640x480"
    )


@given(st.text(max_size=200))
def test_whatever_a_path_holds_one_line_without_blanks_or_quotes_is_sent(path: str) -> None:
    sent = target("generic", path=path.encode("utf-8", "replace").decode())
    assert re.fullmatch(r"/[!-~]*", sent)
    assert not set('"\\#<>') & set(sent)


def test_the_address_of_a_camera_names_a_port_only_where_it_must() -> None:
    assert RECIPES["pelco"].base_url(camera()) == "http://camera.example"
    assert RECIPES["pelco"].base_url(camera(port=8080)) == "http://camera.example:8080"
    assert RECIPES["vigi"].base_url(camera("vigi")) == "http://camera.example:8800"
    assert RECIPES["vigi"].base_url(camera("vigi", scheme="https")) == "https://camera.example:8443"
    assert RECIPES["pelco"].base_url(Camera("1", "pelco", host="fd00::1")) == "http://[fd00::1]"


def isapi(code: int, words: str, sub: str) -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<ResponseStatus version="2.0" '
        'xmlns="http://www.hikvision.com/ver20/XMLSchema">\n<requestURL>/ISAPI</requestURL>\n'
        f"<statusCode>{code}</statusCode>\n<statusString>{words}</statusString>\n"
        f"<subStatusCode>{sub}</subStatusCode>\n</ResponseStatus>"
    ).encode()


@pytest.mark.parametrize(
    ("status", "body", "state"),
    [
        (503, isapi(2, "Device Busy", "deviceBusy"), ErrorState.BUSY),
        (200, isapi(2, "Device Busy", "deviceBusy"), ErrorState.BUSY),
        (200, isapi(3, "Device Error", "deviceError"), ErrorState.NOT_AN_IMAGE),
        (200, isapi(6, "Invalid XML Content", "badXmlContent"), ErrorState.NOT_FOUND),
        (500, isapi(7, "Reboot Required", "rebootRequired"), ErrorState.HTTP_ERROR),
        (200, b"<a:ResponseStatus><a:statusCode> 2 </a:statusCode>", ErrorState.BUSY),
    ],
)
def test_hikvision_says_what_is_wrong_in_xml_whatever_the_status(status: int, body: bytes, state: ErrorState) -> None:
    error = quirks.hikvision(status, body)
    assert error is not None
    assert error.state is state


@pytest.mark.parametrize("body", [b"", b"\xff\xd8\xff", b"<html>Document Error: Unauthorized</html>"])
def test_what_is_not_hikvisions_xml_is_left_to_the_common_rules(body: bytes) -> None:
    assert quirks.hikvision(200, body) is None


def test_dahua_says_error_in_plain_text() -> None:
    error = quirks.dahua(200, b"Error\r\nInvalid Request!\r\n")
    assert error is not None
    assert (error.state, error.detail) == (ErrorState.NOT_AN_IMAGE, "the camera says Error")
    assert quirks.dahua(200, b"\xff\xd8\xff\xe0\x00Error") is None
    assert quirks.dahua(400, b"Error") is None


def _json(detail: str, code: int) -> bytes:
    return json.dumps([{"cmd": "Snap", "code": 1, "error": {"detail": detail, "rspCode": code}}]).encode()


@pytest.mark.parametrize(
    ("refine", "body", "state"),
    [
        (quirks.acti, b"ERROR: account or password is wrong", ErrorState.AUTH),
        (quirks.acti, b"ERROR: parameter", ErrorState.NOT_AN_IMAGE),
        (quirks.acti, b"\xff\xd8\xffERROR:", None),
        (quirks.foscam, b"<CGI_Result><result>-2</result></CGI_Result>", ErrorState.AUTH),
        (quirks.foscam, b"<CGI_Result>\n  <result>-3</result>\n</CGI_Result>", ErrorState.AUTH),
        (quirks.foscam, b"<CGI_Result><result>-4</result></CGI_Result>", ErrorState.NOT_AN_IMAGE),
        (quirks.foscam, b"<CGI_Result><result>-5</result></CGI_Result>", ErrorState.BUSY),
        (quirks.foscam, b"<CGI_Result><result>0</result></CGI_Result>", None),
        (quirks.reolink, _json("please login first", -6), ErrorState.AUTH),
        (quirks.reolink, _json("invalid user", -7), ErrorState.AUTH),
        (quirks.reolink, _json("password wrong", -7), ErrorState.AUTH),
        (quirks.reolink, _json("Login has been locked", -8), ErrorState.AUTH),
        (quirks.reolink, _json("max session", -5), ErrorState.BUSY),
        (quirks.reolink, _json("rcv failed", -17), ErrorState.NOT_AN_IMAGE),
        (quirks.reolink, b'[{"cmd": "Snap", "code": 0, "value": {}}]', None),
        (quirks.reolink, b"[" * 5000, None),
    ],
)
def test_each_make_words_its_errors_in_its_own_way(
    refine: quirks.Refine, body: bytes, state: ErrorState | None
) -> None:
    error = refine(200, body)
    assert (error.state if error else None) is state


@given(st.binary(max_size=5000), st.integers(100, 599))
def test_no_bytes_upset_the_reading_of_errors(body: bytes, status: int) -> None:
    for refine in {recipe.refine for recipe in RECIPES.values() if recipe.refine is not None}:
        for begin in (b"", b"<ResponseStatus>", b"<result>", b"ERROR:", b'[{"error":'):
            error = refine(status, begin + body)
            assert error is None or error.detail.isprintable()


def shown(recipe: Recipe) -> str:
    """A recipe's line in the document's table."""
    channel = "–" if recipe.default_channel is None else str(recipe.default_channel)
    if recipe.channel_path:
        channel = f"`{recipe.channel_path}`"
    names = ", ".join(dict.fromkeys(recipe.aliases)) or "–"
    cells = (
        f"`{recipe.name}`",
        names,
        f"`{recipe.path}`" + (f" on port {recipe.port}" if recipe.port else ""),
        f"{channel}, from {recipe.first_channel}" if channel != "–" else channel,
        ", ".join(recipe.logins) or "unknown",
        recipe.confidence or "–",
    )
    return f"| {' | '.join(cells)} |"


def noted(recipe: Recipe) -> str:
    """A recipe's line in the document's list of sources."""
    return (
        f"- **{recipe.title}** (`{recipe.name}`): "
        + (f"{recipe.notes} " if recipe.notes else "")
        + (f"*Parameters: {'; '.join(recipe.parameters)}.* " if recipe.parameters else "")
        + (f"*Sources: {recipe.source}.*")
    )


def test_the_document_shows_the_table_row_by_row() -> None:
    lines = DOCUMENT.read_text("utf-8").partition("## Makes")[2].splitlines()
    expected = [shown(recipe) for recipe in RECIPES.values()]
    assert [line for line in lines if line.startswith("| `")] == expected, "\n".join(["should be:", *expected])


def test_the_document_names_notes_and_sources_of_every_make() -> None:
    lines = DOCUMENT.read_text("utf-8").splitlines()
    expected = [noted(recipe) for recipe in RECIPES.values()]
    assert [line for line in lines if line.startswith("- **")] == expected, "\n".join(["should be:", *expected])


def test_every_column_of_the_inventory_is_explained() -> None:
    listing = DOCUMENT.read_text().partition("## The list of cameras")[2].partition("\n## ")[0]
    assert [column for column in SYNONYMS if f"`{column}`" not in listing] == []
