"""All mistakes in one go, each a sentence: name, value unless secret, origin, what is expected."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from cctv_images.config.sources import Sources
from cctv_images.config.values import length
from cctv_images.errors import ConfigError
from cctv_images.publish.options import S3Options
from cctv_images.settings import (
    AWS_NAMES,
    KNOWN,
    NAMES,
    SECRETS,
    Login,
    Settings,
    fingerprint,
    fingerprint_mistake,
    load_settings,
    restart_needed,
    scrub_environment,
)

EXAMPLE = Path(__file__).parent.parent / "config.example.env"
LIST = "http://lists.example/cameras.json"
BASE = {"CCTV_INVENTORY": LIST, "CCTV_STORE": "s3://pictures"}
LOGINS = '{"wisenet": {"username": "viewer", "password": "s3cret-one"}}'


def load(**names: str) -> Settings:
    return load_settings(None, BASE | names)


def mistakes(env_file: Path | None = None, **names: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_settings(env_file, BASE | names)
    return caught.value.problems


def only(env_file: Path | None = None, **names: str) -> str:
    (problem,) = mistakes(env_file, **names)
    return problem


@pytest.fixture
def dotenv(tmp_path: Path) -> Callable[[str | bytes], Path]:
    def write(content: str | bytes) -> Path:
        file = tmp_path / "cctv.env"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    return write


@pytest.fixture
def credentials(tmp_path: Path) -> Path:
    folder = tmp_path / "credentials"
    folder.mkdir()
    return folder


# --- the example file and the class -------------------------------------------------------------------------------


def example_lines() -> list[tuple[str, str, bool]]:
    """(name, value, set) of every line that sets or would set something."""
    found = re.findall(r"^(#?)((?:CCTV|AWS)_[A-Z0-9_]+)=(.*)$", EXAMPLE.read_text(), re.MULTILINE)
    return [(name, value, mark == "") for mark, name, value in found]


def test_the_example_lists_every_setting_in_the_order_of_the_class() -> None:
    aliases = {"AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"}
    assert [name for name, _, _ in example_lines()] == [name for name in KNOWN if name not in aliases]
    assert all(alias in EXAMPLE.read_text() for alias in aliases)


def test_the_example_shows_the_defaults() -> None:
    shown = {name: value for name, value, is_set in example_lines() if not is_set and value and name in NAMES}
    fresh = Settings(inventory="-", store="file:///-")
    told = Settings(inventory="-", store="file:///-", **{NAMES[name]: value for name, value in shown.items()})
    for name in shown:
        assert getattr(told, NAMES[name]) == getattr(fresh, NAMES[name]), name
    empty = {name for name, value, is_set in example_lines() if not is_set and not value and name in NAMES}
    assert all(getattr(fresh, NAMES[name]) in ("", None, {}, [], frozenset(), S3Options()) for name in empty)


def test_the_example_itself_loads_and_revives_after_an_hour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cameras.csv").write_text("camera_id\n")
    assert load_settings(EXAMPLE, {}).revive_after == 3600


def test_the_order_is_the_contracts() -> None:
    assert list(NAMES)[:7] == [
        "CCTV_INVENTORY", "CCTV_INVENTORY_COLUMNS", "CCTV_INVENTORY_REFRESH", "CCTV_INVENTORY_HEADERS", "CCTV_STORE",
        "CCTV_S3_OPTIONS", "CCTV_KEY",
    ]  # fmt: skip
    assert list(NAMES)[-6:] == [
        "CCTV_EXPECT_FINGERPRINT", "CCTV_LOG_FILE", "CCTV_LOG_FORMAT", "CCTV_LOG_LEVEL", "CCTV_LISTEN", "CCTV_CONTROL"
    ]  # fmt: skip


# --- values -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("5m", 300), ("6h", 21600), ("1h30m", 5400), (" 2.5m ", 150)]
)
def test_durations_take_seconds_or_units(text: str, seconds: float) -> None:
    assert load(CCTV_UPLINK_HOLD=text).uplink_hold == seconds


@pytest.mark.parametrize("text", ["5 min", "-5", "m", "1e3", "5M", "nan", "٣", "5m30", "1,5m"])
def test_what_is_no_duration_is_told_with_examples(text: str) -> None:
    assert only(CCTV_UPLINK_HOLD=text) == (
        f'CCTV_UPLINK_HOLD = "{text}" (environment): expected seconds or a duration such as 90s, 5m, 6h or 1h30m.'
    )


@given(st.integers(min_value=0, max_value=86400))
def test_a_length_reads_back_as_the_same_duration(seconds: int) -> None:
    assert load(CCTV_UPLINK_HOLD=length(seconds)).uplink_hold == seconds


@pytest.mark.parametrize("text", ["0", "0s", "2d"])
def test_an_interval_out_of_bounds_is_told_with_the_bounds(text: str) -> None:
    assert "expected a duration between 1s and 1d" in only(CCTV_INTERVAL=text)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("S3:/bucket", "did you mean s3://bucket?"),
        ("s3//bucket", "did you mean s3://bucket?"),
        ("/srv/pictures", "did you mean file:///srv/pictures?"),
        ("file://srv/pictures", "did you mean file:///srv/pictures?"),
        ("file:/srv/pictures", "did you mean file:///srv/pictures?"),
        ("s3://My_Bucket", "a bucket's name is 3 to 63 of a-z 0-9 . -"),
        ("s3://bucket/../other", "without empty parts and dots"),
        ("s3://bucket//x", "without empty parts and dots"),
        ("https://bucket.s3.amazonaws.com", "expected s3://bucket"),
        ("s3://bucket:99999/x", "expected an address"),
        ("s3://[bucket", "expected an address"),
        ("file:///", "expected s3://bucket"),
        ("s3://bucket?x=1", "expected nothing behind ? and #"),
    ],
)
def test_a_store_with_a_typing_error_is_told_the_nearest_form(text: str, hint: str) -> None:
    problem = only(CCTV_STORE=text)
    assert problem.startswith("CCTV_STORE = ")
    assert hint in problem


def test_a_store_loses_its_last_slash() -> None:
    assert load(CCTV_STORE="s3://pictures/traffic/").store == "s3://pictures/traffic"


@pytest.mark.parametrize(
    "key",
    ["image/camera.jpg", "image/{id}.jpg", "image/{camera_id}/{}.jpg", "{camera_id.__class__}.jpg", "{camera_id!r}.jpg",
     "{camera_id:>99}.jpg", "/image/{camera_id}.jpg", "../{camera_id}.jpg", "a//{camera_id}.jpg", "{camera_id}/",
     "{camera_id", "a\\{camera_id}.jpg", "./{camera_id}"],
)  # fmt: skip
def test_a_key_is_a_safe_relative_path_with_the_camera_id(key: str) -> None:
    assert "expected a key such as image/{camera_id}.jpg" in only(CCTV_KEY=key)


@pytest.mark.parametrize("text", ["8080", "localhost", ":8080", "127.0.0.1:99999", "::1:8080", "http://127.0.0.1:8080"])
def test_where_to_listen_is_host_and_port(text: str) -> None:
    assert "expected host:port such as 127.0.0.1:8080" in only(CCTV_LISTEN=text)


def test_an_empty_value_is_the_default_but_for_the_page_which_it_switches_off() -> None:
    settings = load(CCTV_LISTEN="", CCTV_INTERVAL="", CCTV_LOG_FILE=" ", CCTV_CREDENTIALS="")
    assert (settings.listen, settings.interval, settings.log_file, settings.credentials) == ("", 300, None, {})


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("CCTV_REMOVED", "hide", "expected fallback, keep or delete"),
        ("CCTV_LOG_LEVEL", "loud", "expected debug, info, warning or error"),
        ("CCTV_LOG_FORMAT", "xml", "expected text or json"),
        ("CCTV_LOG_FILE", "stdout", "expected a file, or nothing for stdout"),
        ("CCTV_ATTEMPTS", "three", "expected a whole number from 1 to 10"),
        ("CCTV_ATTEMPTS", "0", "expected a whole number from 1 to 10"),
        ("CCTV_REFUSAL_LIMIT", "0", "expected a whole number from 1"),
        ("CCTV_FAILURE_LIMIT", "-1", "expected a whole number from 0"),
        ("CCTV_MAX_IMAGE_BYTES", "8M", "expected a whole number"),
        ("CCTV_CAMERA_NETWORKS", "10.1.2.3/8", 'did you mean 10.0.0.0/8 for "10.1.2.3/8"?'),
        ("CCTV_CAMERA_NETWORKS", "cameras", '"cameras" is none'),
        ("CCTV_EXPECT_FINGERPRINT", "abc", "expected the 12 characters"),
        ("CCTV_CONTROL", "/tmp/" + "x" * 120, "at most 107 bytes"),
        ("CCTV_CACHE_CONTROL", "max-age=1\nX-Evil: 1", "expected what can stand in a header line"),
        ("CCTV_INVENTORY", "ftp://host/list", "expected an http:// or https:// address"),
        ("CCTV_INVENTORY", "http:///list", "expected an http:// or https:// address"),
        ("CCTV_INVENTORY", "/no/such/list.csv", "there is no such file"),
        ("CCTV_INVENTORY", "/tmp", "is a folder, expected a file"),
        ("AWS_REGION", "eu_west_1", "expected the name of a region such as us-east-1"),
        ("AWS_ENDPOINT_URL", "minio:9000", "expected an http:// or https:// address"),
    ],
)
def test_a_wrong_value_is_told_with_what_is_expected(name: str, text: str, expected: str) -> None:
    problem = only(**{name: text})
    assert problem.startswith(f'{name} = "')
    assert " (environment): " in problem
    assert expected in problem
    assert "\n" not in problem


def test_networks_are_separated_by_commas_or_blanks() -> None:
    networks = load(CCTV_CAMERA_NETWORKS="10.0.0.0/8, 192.168.1.7  fd00::/8").camera_networks
    assert networks == [ip_network("10.0.0.0/8"), ip_network("192.168.1.7"), ip_network("fd00::/8")]


def test_bytes_that_are_no_text_are_told() -> None:
    assert "expected UTF-8 text" in only(CCTV_LOG_FILE="/var/log/\udcff")


# --- JSON values --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{'a': 'b'}", "JSON wants double quotes"),
        ('{"a": "b"', "at character 10"),
        ('["a"]', 'expected a JSON object such as {"name": "value"}'),
        ('{"model": "x", "model": "y"}', '"model" stands there twice'),
        ('{"model": 5}', 'expected text in quotes for "model"'),
        ('{"modle": "x"}', '"modle" is no column of ours; did you mean model?'),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_mistake_in_json_is_told_with_its_place(text: str, expected: str) -> None:
    assert expected in only(CCTV_INVENTORY_COLUMNS=text)


def test_s3_options_are_told_name_by_name() -> None:
    problems = mistakes(CCTV_S3_OPTIONS='{"adressing": "path", "checksum": "md5"}')
    assert any("\"checksum\": expected 'crc32', 'sha1' or 'sha256'" in p for p in problems)
    assert any('"adressing": is not known; did you mean addressing?' in p for p in problems)


def test_all_mistakes_in_the_logins_are_told_and_no_secret() -> None:
    text = '{"a": {"user": "viewer", "password": "geheim-1"}, "b": "geheim-2", "c": {"username": "x:y", "password": 3}}'
    problem = only(CCTV_CREDENTIALS=text)
    assert problem.startswith('CCTV_CREDENTIALS (environment): "a" lacks its username')
    assert 'unknown "user"; did you mean username?' in problem
    assert 'for "b"' in problem
    assert 'the username of "c"' in problem
    assert 'the password of "c" is not text' in problem
    assert "geheim" not in problem


def test_logins_and_headers_are_read() -> None:
    settings = load(CCTV_CREDENTIALS=LOGINS, CCTV_INVENTORY_HEADERS='{"X-App-Token": "t0ken"}')
    assert settings.credentials == {"wisenet": Login("viewer", SecretStr("s3cret-one"))}
    assert settings.inventory_headers_map() == {"X-App-Token": "t0ken"}


@pytest.mark.parametrize("text", ['{"X Y": "geheim"}', '{"X": "geheim\\r\\nY: 1"}', '{"X": ["geheim"]}', "geheim"])
def test_headers_that_cannot_be_sent_are_told_without_their_value(text: str) -> None:
    problem = only(CCTV_INVENTORY_HEADERS=text)
    assert problem.startswith("CCTV_INVENTORY_HEADERS (environment): ")
    assert "geheim" not in problem


# --- between settings ---------------------------------------------------------------------------------------------


def test_a_timeout_longer_than_the_interval_is_told() -> None:
    assert only(CCTV_TIMEOUT="10m") == (
        'CCTV_TIMEOUT = "10m" (environment): is 10m, expected no more than the interval, which is 5m.'
    )


def test_attempts_that_do_not_fit_the_interval_are_told_with_what_would() -> None:
    problem = only(CCTV_INTERVAL="60")
    assert "3 attempts of 30s with pauses of 3s between them take 93s" in problem
    assert "lower CCTV_TIMEOUT (to 19s)" in problem
    assert load(CCTV_INTERVAL="60", CCTV_TIMEOUT="19").timeout == 19


def test_a_spread_longer_than_the_interval_is_told_only_where_it_was_set() -> None:
    short = {"CCTV_INTERVAL": "30", "CCTV_TIMEOUT": "5"}
    assert load(**short).startup_spread == 60
    assert "expected no more than the interval, which is 30s" in only(**short, CCTV_STARTUP_SPREAD="60")


@pytest.mark.parametrize(
    ("store", "key", "archive", "expected"),
    [
        ("s3://public", "image/{camera_id}.jpg", "s3://public/image/old", "lies where pictures are published"),
        ("s3://public/live", "{camera_id}.jpg", "s3://public/live/kept", "lies where pictures are published"),
        ("s3://public", "image/{camera_id}.jpg", "s3://public", "has the published pictures inside it"),
        ("file:///srv/www", "image/{camera_id}.jpg", "file:///srv", "has the published pictures inside it"),
    ],
)
def test_what_is_kept_does_not_lie_where_the_public_reads(store: str, key: str, archive: str, expected: str) -> None:
    assert expected in only(CCTV_STORE=store, CCTV_KEY=key, CCTV_ARCHIVE=archive)


def test_what_the_service_keeps_for_itself_does_not_lie_where_the_public_reads(tmp_path: Path) -> None:
    place = {"CCTV_STORE": f"file://{tmp_path}/www", "CCTV_KEY": "image/{camera_id}.jpg"}
    assert "lies where pictures are published" in only(**place, CCTV_STATE_DIR=f"{tmp_path}/www/image/.state")
    assert load(**place, CCTV_STATE_DIR=f"{tmp_path}/www/state")


def test_links_and_other_spellings_do_not_hide_where_an_archive_lies(tmp_path: Path) -> None:
    (tmp_path / "www").mkdir()
    (tmp_path / "link").symlink_to("www")
    for spelling in ("link/kept", "%77ww/kept"):
        problem = only(
            CCTV_STORE=f"file://{tmp_path}/www",
            CCTV_KEY="{camera_id}.jpg",
            CCTV_ARCHIVE=f"file://{tmp_path}/{spelling}",
        )
        assert "lies where pictures are published" in problem
    for spelling in ("x/%2e%2e/www", "a%00b"):
        assert "expected a path without" in only(CCTV_ARCHIVE=f"file://{tmp_path}/{spelling}")


def test_a_list_of_cameras_names_one_at_least() -> None:
    assert load(CCTV_ARCHIVE_CAMERAS=" 134, 135,").archive_cameras == {"134", "135"}
    assert "expected one word at least" in only(CCTV_ARCHIVE_CAMERAS=",")


def test_an_archive_may_lie_beside_the_published_pictures() -> None:
    load(CCTV_STORE="s3://bucket", CCTV_ARCHIVE="s3://bucket/kept")
    load(CCTV_STORE="s3://bucket/live", CCTV_KEY="{camera_id}.jpg", CCTV_ARCHIVE="s3://bucket/lively")


def test_half_a_login_is_told() -> None:
    assert "expected CCTV_CAMERA_PASSWORD beside it" in only(CCTV_CAMERA_USERNAME="viewer")
    assert "expected CCTV_CAMERA_USERNAME beside it" in only(CCTV_CAMERA_PASSWORD="geheim")
    assert "expected AWS_SECRET_ACCESS_KEY beside it" in only(AWS_ACCESS_KEY_ID="AKIA")
    assert "expected AWS_ACCESS_KEY_ID beside it" in only(AWS_SECRET_ACCESS_KEY="geheim")


def test_rules_between_settings_are_told_beside_other_mistakes_but_not_about_wrong_values() -> None:
    problems = mistakes(CCTV_TIMEOUT="10m", CCTV_ATTEMPTS="x", CCTV_CAMERA_USERNAME="viewer", CCTV_LISTEN="8080")
    assert [p.split(" ")[0] for p in problems] == ["CCTV_ATTEMPTS", "CCTV_CAMERA_USERNAME", "CCTV_LISTEN"]


# --- names --------------------------------------------------------------------------------------------------------


def test_a_missing_setting_says_what_it_should_be_and_the_rest_is_checked_too() -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(None, {"CCTV_STORE": "", "CCTV_INTERVAL": "x"})
    inventory, store, interval = caught.value.problems
    assert inventory == "CCTV_INVENTORY is not set: expected path or http(s) address of the camera list."
    assert store == "CCTV_STORE (environment) is empty: expected s3://bucket[/prefix] or file:///folder."
    assert interval.startswith('CCTV_INTERVAL = "x"')


def test_a_command_can_do_without_a_required_setting() -> None:
    settings = load_settings(None, {"CCTV_INVENTORY": LIST}, optional={"CCTV_STORE"})
    assert settings.store == ""


def test_an_unknown_name_is_an_error_from_the_environment_too_with_the_nearest_and_without_its_value() -> None:
    problem = only(CCTV_CAMERA_PASWORD="geheim")
    assert problem == "CCTV_CAMERA_PASWORD (environment): is no setting; did you mean CCTV_CAMERA_PASSWORD?"
    assert "did you mean CCTV_STORE?" in only(cctv_store="s3://x")
    assert only(CCTV_QQQQ="x") == "CCTV_QQQQ (environment): is no setting."


def test_unknown_aws_names_are_botocores_business_in_the_environment(dotenv: Callable[[str], Path]) -> None:
    load(AWS_CONFIG_FILE="/etc/aws")
    problem = only(dotenv("AWS_ACESS_KEY_ID=geheim\n"))
    assert "did you mean AWS_ACCESS_KEY_ID?" in problem
    assert "geheim" not in problem


# --- sources ------------------------------------------------------------------------------------------------------


def test_the_environment_wins_over_credentials_and_those_over_the_env_file(
    dotenv: Callable[[str], Path], credentials: Path
) -> None:
    file = dotenv("CCTV_CAMERA_USERNAME=u\nCCTV_CAMERA_PASSWORD=file\nCCTV_INTERVAL=100\nAWS_PROFILE=file\n")
    (credentials / "CCTV_CAMERA_PASSWORD").write_text("folder\n")
    (credentials / "AWS_PROFILE").write_text("folder\n")
    (credentials / "somebody.else").write_bytes(b"\xff")
    environ = BASE | {"CREDENTIALS_DIRECTORY": str(credentials), "AWS_PROFILE": "environment"}
    settings = load_settings(file, environ)
    assert settings.camera_password == SecretStr("folder")
    assert settings.interval == 100
    assert settings.aws.profile == "environment"
    assert load_settings(file, environ | {"CCTV_CAMERA_PASSWORD": "e"}).camera_password == SecretStr("e")


def test_aws_names_fall_back_to_their_wider_form() -> None:
    wide = {"AWS_DEFAULT_REGION": "eu-west-1", "AWS_ENDPOINT_URL": "http://wide:1"}
    assert (load(**wide).aws.region, load(**wide).aws.endpoint_url) == ("eu-west-1", "http://wide:1")
    narrow = load(**wide, AWS_REGION="us-east-2", AWS_ENDPOINT_URL_S3="http://narrow:1")
    assert (narrow.aws.region, narrow.aws.endpoint_url) == ("us-east-2", "http://narrow:1")
    assert load(**wide, AWS_REGION="").aws.region == "eu-west-1"


def test_credential_files_hold_secrets_only(credentials: Path) -> None:
    (credentials / "CCTV_INTERVAL").write_text("5m")
    (credentials / "CCTV_CREDENTIAL").write_text("geheim")
    (credentials / "CCTV_CAMERA_PASSWORD").mkdir()
    problems = mistakes(CREDENTIALS_DIRECTORY=str(credentials))
    assert any("CCTV_INTERVAL (credential file): is no secret" in p for p in problems)
    assert any(
        "CCTV_CREDENTIAL (credential file): is no setting; did you mean CCTV_CREDENTIALS?" in p for p in problems
    )
    assert any("CCTV_CAMERA_PASSWORD: cannot be read (it is a folder)" in p for p in problems)
    assert "geheim" not in str(problems)


def test_a_credentials_folder_that_is_not_there_is_told() -> None:
    assert only(CREDENTIALS_DIRECTORY="/no/such") == (
        "CREDENTIALS_DIRECTORY = /no/such: cannot be read (No such file or directory)."
    )


def test_an_env_file_may_be_written_in_any_usual_way(dotenv: Callable[[bytes], Path]) -> None:
    content = (
        "\ufeff# comment\r\n\r\nexport CCTV_INTERVAL=100\r\nCCTV_TIMEOUT = '20s'  # note\r\n"
        'CCTV_CAMERA_USERNAME="viewer"\r\nCCTV_CAMERA_PASSWORD=$ecret#${HOME}\r\nCCTV_CREDENTIALS='
        + LOGINS
        + "\r\nPATH=/x"
    )
    settings = load_settings(dotenv(content.encode()), BASE)
    assert (settings.interval, settings.timeout, settings.camera_username) == (100, 20, "viewer")
    assert settings.camera_password == SecretStr("$ecret#${HOME}")
    assert settings.credentials["wisenet"].username == "viewer"


def test_mistakes_in_an_env_file_name_its_lines_and_no_value(dotenv: Callable[[str], Path]) -> None:
    file = dotenv("\n\n# c\nCCTV_INTERVAL=x\n\nCCTV_TIMEOUT=1\nCCTV_TIMEOUT=2\nCCTV_KEY\nCTV_STORE=a\ngeheim 'x\n")
    problems = mistakes(file)
    assert f'CCTV_INTERVAL = "x" ({file} line 4): expected seconds' in problems[-1]
    assert f"CCTV_TIMEOUT ({file}): stands there twice, lines 6 and 7." in problems
    assert f"CCTV_KEY ({file} line 8): has no = and no value." in problems
    assert f"CTV_STORE ({file} line 9): is no setting; did you mean CCTV_STORE?" in problems
    assert f"{file} line 10: is not NAME=value, or a quote in it is not closed." in problems
    assert "geheim" not in str(problems)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\xff\xfeC\0C\0T\0V\0", "is not UTF-8 text"),
        (b"\0\1\2", "is not UTF-8 text"),
        (b"#" * (2 << 20), "is larger than 1 MiB"),
    ],
)
def test_an_env_file_that_is_none_is_told(dotenv: Callable[[bytes], Path], content: bytes, expected: str) -> None:
    assert expected in only(dotenv(content))


def test_an_env_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    assert "cannot be read (it is a folder)" in only(tmp_path)
    assert "cannot be read (No such file or directory)" in only(tmp_path / "missing.env")


def test_a_quote_that_swallows_lines_does_not_show_them(dotenv: Callable[[str], Path]) -> None:
    file = dotenv('CCTV_KEY="x\nCCTV_CAMERA_PASSWORD=geheim\n"\n')
    assert "geheim" not in "".join(mistakes(file))


def test_folders_made_by_systemd_are_the_defaults() -> None:
    made = load(STATE_DIRECTORY="/var/lib/cctv-images:/var/lib/more", RUNTIME_DIRECTORY="/run/cctv-images")
    assert (made.state_dir, made.control) == (Path("/var/lib/cctv-images"), Path("/run/cctv-images/control.sock"))
    assert load(STATE_DIRECTORY="/x", CCTV_STATE_DIR="/y").state_dir == Path("/y")
    assert (load().state_dir, load().control) == (Path("state"), Path("control.sock"))


def test_no_secret_is_shown_wherever_settings_are_printed(credentials: Path) -> None:
    canaries = {name: f"canary-{i}-of-many" for i, name in enumerate(sorted(SECRETS))}
    canaries["CCTV_INVENTORY_HEADERS"] = '{"X-Token": "canary-headers"}'
    canaries["CCTV_CREDENTIALS"] = '{"a": {"username": "viewer", "password": "canary-logins"}}'
    canaries["CCTV_ALERT_URLS"] = "json://user:canary-alert@host/"
    settings = load(**canaries, CCTV_CAMERA_USERNAME="u", AWS_ACCESS_KEY_ID="AKIA", AWS_SECRET_ACCESS_KEY="canary-aws")
    printed = f"{settings!r} {settings} {settings.model_dump_json()} {settings.default_login!r}"
    assert "canary" not in printed
    sources = Sources(KNOWN, SECRETS)
    sources.add_environment(canaries)
    assert "canary" not in repr(sources)


@pytest.mark.parametrize("name", [*NAMES, *AWS_NAMES])
def test_no_error_repeats_a_secret_or_what_an_address_carries(name: str) -> None:
    pasted = ["http://u:geheim@host/?t=geheim", "x\ngeheim"]
    for text in [*pasted, '{"a": "geheim', "geheim"] if name in SECRETS else pasted:
        try:
            load_settings(None, BASE | {name: text})
            printed = ""
        except ConfigError as exc:
            printed = str(exc)
        assert "geheim" not in printed


# --- fingerprint and reload ---------------------------------------------------------------------------------------


def test_nodes_that_differ_only_in_place_and_secrets_have_one_fingerprint() -> None:
    one = load(CCTV_CAMERA_USERNAME="u", CCTV_CAMERA_PASSWORD="one", CCTV_CREDENTIALS=LOGINS)
    other = load(
        CCTV_CAMERA_USERNAME="u", CCTV_CAMERA_PASSWORD="two", CCTV_CREDENTIALS=LOGINS.replace("one", "two"),
        CCTV_LOG_LEVEL="debug", CCTV_LISTEN="", CCTV_STATE_DIR="/x", CCTV_CONTROL="/y", AWS_PROFILE="p",
        CCTV_INTERVAL="300s", CCTV_INVENTORY=LIST + "?token=x",
    )  # fmt: skip
    assert fingerprint(one) == fingerprint(other)
    assert re.fullmatch("[0-9a-f]{12}", fingerprint(one))


@pytest.mark.parametrize(
    ("name", "text"),
    [("CCTV_STORE", "s3://other"), ("CCTV_INTERVAL", "200"), ("CCTV_KEY", "x/{camera_id}"), ("AWS_REGION", "eu-west-1"),
     ("CCTV_CREDENTIALS", LOGINS), ("CCTV_CAMERA_NETWORKS", "::1"), ("CCTV_S3_OPTIONS", '{"addressing": "path"}'),
     ("CCTV_INVENTORY", "http://lists.example/others.json"), ("CCTV_FALLBACK_IMAGE", "/x.jpg")],
)  # fmt: skip
def test_nodes_that_treat_cameras_or_store_otherwise_have_another_fingerprint(name: str, text: str) -> None:
    assert fingerprint(load()) != fingerprint(load(**{name: text}))


def test_a_node_is_held_to_its_fingerprint() -> None:
    actual = fingerprint(load())
    assert fingerprint_mistake(load()) is None
    assert fingerprint_mistake(load(CCTV_EXPECT_FINGERPRINT=actual.upper())) is None
    assert actual in str(fingerprint_mistake(load(CCTV_EXPECT_FINGERPRINT="0" * 12)))


def test_a_reload_applies_inventory_and_secrets_and_names_what_it_cannot_apply() -> None:
    applied = load(
        CCTV_INVENTORY=LIST + "2", CCTV_INVENTORY_COLUMNS='{"model": "m"}', CCTV_INVENTORY_HEADERS='{"X": "y"}',
        CCTV_CAMERA_USERNAME="u", CCTV_CAMERA_PASSWORD="p", CCTV_CREDENTIALS=LOGINS,
        AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b", AWS_SESSION_TOKEN="c", AWS_PROFILE="d",
    )  # fmt: skip
    assert restart_needed(load(), applied) == []
    changed = load(CCTV_INTERVAL="200", CCTV_STORE="s3://other", AWS_REGION="eu-west-1", AWS_ENDPOINT_URL="http://x")
    assert restart_needed(load(), changed) == ["CCTV_STORE", "CCTV_INTERVAL", "AWS_ENDPOINT_URL_S3", "AWS_REGION"]


def test_the_environment_loses_what_would_redirect_or_wiretap() -> None:
    environ = {
        name: "x" for name in ("HTTPS_PROXY", "no_proxy", "SSLKEYLOGFILE", "AWS_PROFILE", "AWS_ROLE_ARN", "PATH")
    }
    environ["AWS_SESSION_TOKEN"] = ""
    scrub_environment(environ)
    assert set(environ) == {"AWS_PROFILE", "AWS_ROLE_ARN", "PATH"}
