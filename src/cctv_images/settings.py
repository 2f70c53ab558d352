"""Every setting, in the order of config.example.env.

CCTV_NAME is the attribute `name`; the AWS_* names are in `aws`. Sources, the first that has a name wins:
environment, files in $CREDENTIALS_DIRECTORY (secrets and AWS_* only), dotenv file. An empty value means the default,
except for CCTV_LISTEN, where it means off. All mistakes are told in one go, without the value of any secret.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Mapping, MutableMapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote

from pydantic import AfterValidator, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from cctv_images import choices, wording
from cctv_images.acquire.logins import Login
from cctv_images.config import values
from cctv_images.config.rules import BACKOFF_CAP_S, complaints
from cctv_images.config.sources import Found, Sources
from cctv_images.config.values import DAY, HOUR, choice, duration, integer, nearest, read, shown, stripped
from cctv_images.errors import ConfigError, plain
from cctv_images.inventory.columns import SYNONYMS
from cctv_images.inventory.fields import is_camera_id, quoted
from cctv_images.publish import AwsSettings, S3Options, parse_address


def _camera_ids(text: str) -> frozenset[str]:
    ids = values.words(text)
    if wrong := sorted(word for word in ids if not is_camera_id(word)):
        raise ValueError(f"expected ids of cameras, separated by commas or spaces; {quoted(wrong[0])} is none")
    return ids


def _store(text: str) -> str:
    """An address of a store without a slash at its end."""
    url = values.split_url(text)
    if url.query or url.fragment:
        raise ValueError("expected nothing behind ? and #")
    path = unquote(url.path)
    if "://" in text and ("//" in path or "\0" in path or any(part in (".", "..") for part in path.split("/"))):
        raise ValueError("expected a path without empty parts and dots")
    try:
        parse_address(text)
    except ConfigError as exc:
        raise ValueError(str(exc).partition(": ")[2]) from None
    return text.rstrip("/")


class Settings(BaseSettings):
    """The effective settings. Durations are in seconds."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, validate_default=False)

    inventory: Annotated[str, stripped(values.place)]
    inventory_columns: Annotated[dict[str, str], read(values.columns(tuple(SYNONYMS)))] = {}
    inventory_refresh: Annotated[float, duration(0)] = 0.0
    inventory_headers: Annotated[SecretStr | None, AfterValidator(values.secret(values.headers))] = None
    store: Annotated[str, stripped(_store)]
    s3_options: Annotated[S3Options, read(values.json_object)] = S3Options()
    key: Annotated[str, stripped(values.key_template)] = "image/{camera_id}.jpg"
    cache_control: Annotated[str | None, stripped(values.header_value)] = None
    removed: Annotated[Literal["fallback", "keep", "delete"], choice("fallback", "keep", "delete")] = "fallback"
    interval: Annotated[float, duration(1, DAY)] = 300.0
    startup_spread: Annotated[float, duration(0, DAY)] = 60.0
    """Not clamped: the first cycles are spread over min(startup_spread, interval)."""
    timeout: Annotated[float, duration(0.1, HOUR)] = 30.0
    attempts: Annotated[int, integer(1, 10)] = 3
    backoff: Annotated[float, duration(0, BACKOFF_CAP_S)] = 1.0
    failure_limit: Annotated[int, integer(0, 1_000_000)] = 5
    refusal_limit: Annotated[int, integer(1, 1_000_000)] = 2
    fallback_after: Annotated[int, integer(1, 1_000_000)] = 1
    revive_after: Annotated[float, duration(0)] = 0.0
    uplink_hold: Annotated[float, duration(0, DAY)] = 900.0
    max_image_bytes: Annotated[int, integer(1024, 96 << 20)] = 8388608
    max_image_pixels: Annotated[int, integer(1024, 400_000_000)] = 50_000_000
    content_action: Annotated[Literal["flag", "fallback"], choice("flag", "fallback")] = "flag"
    frozen_after: Annotated[int, integer(2, 100_000)] = 6
    renditions: Annotated[tuple[choices.RenditionSpec, ...], stripped(choices.renditions)] = (choices.AS_IT_CAME,)
    masks: Path | None = None
    stamp: Annotated[str, stripped(choices.stamp)] = ""
    time_zone: Annotated[str, stripped(choices.time_zone)] = "UTC"
    by_make: Annotated[dict[str, dict[str, Any]], read(choices.by_make)] = {}
    camera_username: Annotated[str, read(values.username)] = ""
    camera_password: SecretStr | None = None
    credentials: Annotated[dict[str, Login], read(values.logins)] = {}
    camera_networks: Annotated[list[IPv4Network | IPv6Network], stripped(values.networks)] = []
    archive: Annotated[str, stripped(_store)] = ""
    archive_s3_options: Annotated[S3Options | None, read(values.json_object)] = None
    archive_cameras: Annotated[frozenset[str], stripped(_camera_ids)] = frozenset()
    archive_every: Annotated[int, integer(1, 100_000)] = 1
    archive_days: Annotated[int, integer(0, 36_500)] = 0
    archive_bytes: Annotated[int, integer(0, 1 << 60)] = 0
    archive_rate: Annotated[int, integer(1, 10_000)] = 50
    archive_connections: Annotated[int, integer(1, 64)] = 4
    spool_bytes: Annotated[int, integer(1 << 20, 1 << 50)] = 2147483648
    spool_full: Annotated[Literal["newest", "oldest"], choice("newest", "oldest")] = "newest"
    fallback_image: Path | None = None
    fallback_text: Annotated[tuple[wording.Words, ...] | None, stripped(wording.fallback_text)] = None
    ledger_days: Annotated[int, integer(1, 3660)] = 30
    alert_urls: Annotated[list[SecretStr], read(values.addresses)] = []
    alert_pause: Annotated[float, duration(10, DAY)] = 600.0
    alert_repeat: Annotated[float, duration(0)] = 86400.0
    state_dir: Path = Path("state")
    expect_fingerprint: Annotated[str, stripped(values.fingerprint_text)] = ""
    log_file: Annotated[Path | None, read(values.log_file)] = None
    log_format: Annotated[Literal["text", "json"], choice("text", "json")] = "text"
    log_level: Annotated[Literal["debug", "info", "warning", "error"], choice("debug", "info", "warning", "error")] = (
        "info"
    )
    listen: Annotated[str, stripped(values.listen)] = "127.0.0.1:8080"
    control: Annotated[Path, stripped(values.socket_path)] = Path("control.sock")
    aws: AwsSettings = AwsSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what load_settings has read (config.sources), which knows each value's origin and line."""
        return (init_settings,)

    def inventory_headers_map(self) -> dict[str, str]:
        """Request headers for an http inventory. The values are secrets."""
        return values.headers(self.inventory_headers.get_secret_value()) if self.inventory_headers else {}

    @property
    def default_login(self) -> Login | None:
        """The login for cameras that name none."""
        if self.camera_username and self.camera_password is not None:
            return Login(self.camera_username, self.camera_password)
        return None

    @property
    def inventory_is_remote(self) -> bool:
        return "://" in self.inventory


NAMES = {f"CCTV_{name.upper()}": name for name in Settings.model_fields if name != "aws"}
AWS_NAMES = {
    "AWS_ACCESS_KEY_ID": "access_key_id",
    "AWS_SECRET_ACCESS_KEY": "secret_access_key",
    "AWS_SESSION_TOKEN": "session_token",
    "AWS_REGION": "region",
    "AWS_DEFAULT_REGION": "region",
    "AWS_ENDPOINT_URL_S3": "endpoint_url",
    "AWS_ENDPOINT_URL": "endpoint_url",
    "AWS_PROFILE": "profile",
}
"""Where two names mean one thing, the former wins."""
KNOWN = [*NAMES, *AWS_NAMES]
SECRETS = frozenset({"CCTV_INVENTORY_HEADERS", "CCTV_CAMERA_PASSWORD", "CCTV_CREDENTIALS", "CCTV_ALERT_URLS"})
HIDDEN = SECRETS | {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}
"""Never shown, not even when they are wrong."""
RELOADABLE = frozenset(
    {"inventory", "inventory_columns", "inventory_headers", "camera_username", "camera_password", "credentials"}
    | {"renditions", "masks", "stamp", "time_zone", "by_make"}
)
AWS_RELOADABLE = frozenset({"access_key_id", "secret_access_key", "session_token", "profile"})
OF_THE_NODE = frozenset(
    {"inventory_headers", "camera_password", "credentials", "masks", "fallback_image", "state_dir"}
    | {"archive_rate", "archive_connections", "spool_bytes", "spool_full", "ledger_days", "expect_fingerprint"}
    | {"log_file", "log_format", "log_level", "listen", "control", "aws", "inventory"}
    | {"alert_urls", "alert_pause", "alert_repeat"}
)
"""Left out of the fingerprint as they are: secrets, paths, what one node's disk and uplink bear, how it is watched."""


def load_settings(
    env_file: Path | None,
    environ: Mapping[str, str] | None = None,
    *,
    optional: Collection[str] = (),
) -> Settings:
    """Reads and checks everything. Raises ConfigError with one sentence per mistake.

    env_file must be readable when given. optional: required names that a command can do without; they are then empty.
    """
    environ = os.environ if environ is None else environ
    sources = _read(env_file, environ)
    check = _Check(sources.found, _places(environ), optional)
    if problems := [*sources.problems, *check.problems()]:
        raise ConfigError(problems)
    return check.settings


def control_socket(env_file: Path | None, environ: Mapping[str, str] | None = None) -> tuple[Path, bool]:
    """Where the daemon listens, whatever else is wrong with the settings; and whether anything says so."""
    environ = os.environ if environ is None else environ
    found = _read(env_file, environ).found.get("CCTV_CONTROL")
    path = (found.value.strip() if found else "") or _places(environ).get("control", "")
    return Path(path or Settings.model_fields["control"].default), bool(path)


def _read(env_file: Path | None, environ: Mapping[str, str]) -> Sources:
    sources = Sources(KNOWN, SECRETS | AWS_NAMES.keys())
    if env_file is not None:
        sources.add_dotenv(env_file)
    if folder := environ.get("CREDENTIALS_DIRECTORY"):
        sources.add_credentials(Path(folder))
    sources.add_environment(environ)
    return sources


def _places(environ: Mapping[str, str]) -> dict[str, str]:
    """Where systemd has made a folder for us; of several, the first."""
    state, runtime = (environ.get(name, "").split(":")[0] for name in ("STATE_DIRECTORY", "RUNTIME_DIRECTORY"))
    places = {"state_dir": state, "control": f"{runtime}/control.sock" if runtime else ""}
    return {name: place for name, place in places.items() if place}


REQUIRED = {
    "inventory": "path or http(s) address of the camera list",
    "store": "s3://bucket[/prefix] or file:///folder",
}
STAND_INS = {"inventory": "-", "store": "file:///-"}
"""So that the other settings can be checked while a required one is missing or wrong."""


class _Check:
    """Checks field by field, then what must hold between the fields that are right by themselves."""

    def __init__(self, found: Mapping[str, Found], places: Mapping[str, str], optional: Collection[str]) -> None:
        self.found = found
        given = {name: f.value for name, f in found.items() if f.value.strip() or name == "CCTV_LISTEN"}
        self.raw: dict[str, Any] = {**places, **{NAMES[n]: text for n, text in given.items() if n in NAMES}}
        # Reversed, so that of two names for one thing the former is written last.
        self.aws = {field: name for name, field in reversed(AWS_NAMES.items()) if name in given}
        self.raw["aws"] = {field: given[name].strip() for field, name in self.aws.items()}
        self.mistakes: dict[str, list[str]] = {}
        """Sentences by field."""
        absent = [field for field in STAND_INS if field not in self.raw]
        for field in absent:
            if (name := f"CCTV_{field.upper()}") not in optional:
                empty = f" ({plain(found[name].origin)}) is empty" if name in found else " is not set"
                self.mistakes[field] = [f"{name}{empty}: expected {REQUIRED[field]}."]
        self.settings = self._fields().model_copy(update=dict.fromkeys(absent, ""))

    def problems(self) -> list[str]:
        for subject, expectation in complaints(self.settings, self.mistakes.keys()):
            self.complain(subject, expectation)
        return [sentence for field in Settings.model_fields for sentence in self.mistakes.get(field, [])]

    def complain(self, subject: str, expectation: str) -> None:
        """subject: a field, or aws.field."""
        field, _, part = subject.partition(".")
        name = self.aws.get(part, f"AWS_{part.upper()}") if part else f"CCTV_{field.upper()}"
        found = self.found.get(name)
        value = f" = {shown(found.value)}" if found and name not in HIDDEN else ""
        origin = f" ({plain(found.origin)})" if found else ""
        end = "" if expectation.endswith("?") else "."
        self.mistakes.setdefault(field, []).append(f"{name}{value}{origin}: {expectation}{end}")

    def _fields(self) -> Settings:
        """The settings with defaults in the place of what is wrong."""
        for field, text in self.raw.items():
            if isinstance(text, str) and any("\ud800" <= c <= "\udfff" for c in text):
                self.complain(field, "expected UTF-8 text")
        try:
            return self._model()
        except ValidationError as exc:
            for error in exc.errors(include_url=False, include_input=False):
                self.complain(str(error["loc"][0]), _expectation(error))
        return self._model()

    def _model(self) -> Settings:
        right = {field: value for field, value in self.raw.items() if field not in self.mistakes}
        return Settings(**(STAND_INS | right))


def _expectation(error: Mapping[str, Any]) -> str:
    """One mistake that pydantic has found, without pydantic's manner of speaking."""
    context = error.get("ctx", {})
    part = f'"{plain(error["loc"][1], 40)}": ' if len(error["loc"]) > 1 else ""
    if "error" in context:
        return part + str(context["error"])
    if error["type"] == "extra_forbidden":
        known = list(S3Options.model_fields)
        return f"{part}is not known{nearest(str(error['loc'][1]), known) or ', known are ' + ', '.join(known)}"
    if "expected" in context:
        return f"{part}expected {context['expected']}"
    return f"{part}{error['msg'][:1].lower()}{error['msg'][1:]}"


def fingerprint(settings: Settings) -> str:
    """12 hex digits that are equal on two nodes which treat cameras and store alike.

    Made of every effective setting but those in OF_THE_NODE: no secret enters it, though which logins are known, the
    store's region and endpoint, and the address (without query) of an inventory that is fetched do. Not the version.
    """
    effective = settings.model_dump(mode="json", exclude=set(OF_THE_NODE))
    for name in ("camera_networks", "archive_cameras"):
        effective[name] = sorted(effective[name])
    effective["logins"] = [*sorted(settings.credentials), settings.default_login is not None]
    effective["aws"] = [settings.aws.region, settings.aws.endpoint_url]
    effective["masks"] = settings.masks is not None
    effective["own_fallback"] = settings.fallback_image is not None
    effective["inventory"] = settings.inventory.split("?")[0] if settings.inventory_is_remote else "file"
    return hashlib.sha256(json.dumps(effective, sort_keys=True).encode()).hexdigest()[:12]


def fingerprint_mistake(settings: Settings) -> str | None:
    """The sentence of a node that is held to other settings than it has."""
    actual = fingerprint(settings)
    if settings.expect_fingerprint in ("", actual):
        return None
    return (
        f"CCTV_EXPECT_FINGERPRINT = {settings.expect_fingerprint}: the effective settings have {actual}; "
        "either this node's settings differ from the others', or the expectation is of an older version."
    )


def restart_needed(old: Settings, new: Settings) -> list[str]:
    """Names of the changed settings that a reload cannot apply.

    A reload applies the inventory with its columns and headers, what is chosen for cameras' pictures, all logins, and
    AWS keys and profile.
    """
    fields = [name for name in Settings.model_fields if name not in RELOADABLE and name != "aws"]
    changed = [f"CCTV_{name.upper()}" for name in fields if getattr(old, name) != getattr(new, name)]
    aws = {field: name for name, field in reversed(AWS_NAMES.items()) if field not in AWS_RELOADABLE}
    return changed + [name for field, name in aws.items() if getattr(old.aws, field) != getattr(new.aws, field)]


def scrub_environment(environ: MutableMapping[str, str] | None = None) -> None:
    """Takes away what would redirect or wiretap our libraries behind the settings' back.

    Proxies: cameras and store are asked directly. SSLKEYLOGFILE writes down the keys of every TLS connection.
    The AWS_* names stay: those in the settings are read again on a reload, and botocore's own chain of credentials
    needs its others (containers, web identity, shared files). Empty ones go, since botocore takes an empty
    AWS_PROFILE for a name.
    """
    environ = os.environ if environ is None else environ
    for name, value in list(environ.items()):
        empty = name.startswith("AWS_") and not value
        if empty or name.upper().endswith("_PROXY") or name == "SSLKEYLOGFILE":
            del environ[name]
