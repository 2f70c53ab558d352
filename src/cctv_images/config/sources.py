"""Where settings come from: environment, credential files, dotenv file. Each value keeps its origin, for the errors.

In the place of pydantic-settings' own readers: those tell JSON mistakes one at a time, take unknown names from the
process environment (where EnvironmentFile= puts them) in silence, expand ${…} in passwords, and know no line numbers.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dotenv.parser import Binding, parse_stream

from cctv_images.config.values import nearest
from cctv_images.errors import plain

MAX_FILE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Found:
    """One setting as it was written. The value may be a secret."""

    value: str = field(repr=False)
    origin: str


@dataclass(slots=True)
class Sources:
    """Everything that was found, the winning value for each name, and what is wrong with where it stood."""

    known: Sequence[str]
    secrets: Collection[str]
    """Names that may be credential files."""
    found: dict[str, Found] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def add_environment(self, environ: Mapping[str, str]) -> None:
        for name, value in environ.items():
            if name in self.known:
                self.found[name] = Found(value, "environment")
            elif name.upper().startswith("CCTV_"):
                self.unknown(name, "environment")

    def add_credentials(self, folder: Path) -> None:
        """systemd's LoadCredential=: one file per secret; other programs' files are left alone."""
        try:
            files = sorted(folder.iterdir())
        except OSError as exc:
            self.problems.append(f"CREDENTIALS_DIRECTORY = {plain(folder)}: cannot be read ({exc.strerror}).")
            return
        for file in files:
            if file.name in self.secrets:
                if (text := self.read(file, "credential file")) is not None:
                    self.found[file.name] = Found(text.rstrip("\r\n"), f"credential file {file.name}")
            elif file.name in self.known:
                self.problems.append(
                    f"{file.name} (credential file): is no secret; set it in the environment or the env file."
                )
            elif file.name.upper().startswith(("CCTV_", "AWS_")):
                self.unknown(file.name, "credential file")

    def add_dotenv(self, file: Path) -> None:
        text = self.read(file, "env file")
        first_line: dict[str, int] = {}
        for binding in parse_stream(io.StringIO(text or "")):
            # The parser counts the blank lines before a name as part of it.
            before = binding.original.string
            blank = before[: len(before) - len(before.lstrip())].replace("\r\n", "\n").replace("\r", "\n")
            line = binding.original.line + blank.count("\n")
            if name := self._name_of(binding, f"{file} line {line}"):
                if name in first_line:
                    self.problems.append(f"{name} ({file}): stands there twice, lines {first_line[name]} and {line}.")
                first_line.setdefault(name, line)
                self.found[name] = Found(binding.value or "", f"{file} line {line}")

    def _name_of(self, binding: Binding, origin: str) -> str | None:
        """The name of a line that counts; complains about lines that look as if they should."""
        name = binding.key
        if binding.error:
            self.problems.append(f"{plain(origin)}: is not NAME=value, or a quote in it is not closed.")
        elif name in self.known:
            if binding.value is not None:
                return name
            self.problems.append(f"{name} ({plain(origin)}): has no = and no value.")
        elif name and (name.upper().startswith(("CCTV_", "AWS_")) or _slip(name, self.known)):
            self.unknown(name, origin)
        return None

    def unknown(self, name: str, origin: str) -> None:
        """The value is not shown: it may be a password under a misspelt name."""
        hint = nearest(name, self.known)
        self.problems.append(f"{plain(name)} ({plain(origin)}): is no setting{hint}{'' if hint[-1:] == '?' else '.'}")

    def read(self, file: Path, what: str) -> str | None:
        """A small file of UTF-8 text, with or without byte order mark; None after a complaint."""
        try:
            if file.is_dir():
                raise IsADirectoryError(0, "it is a folder")
            with file.open("rb") as stream:
                data = stream.read(MAX_FILE_BYTES + 1)
        except OSError as exc:
            self.problems.append(f"{what} {plain(file)}: cannot be read ({exc.strerror}).")
            return None
        if len(data) > MAX_FILE_BYTES:
            self.problems.append(
                f"{what} {plain(file)}: is larger than {MAX_FILE_BYTES >> 20} MiB, expected a few lines."
            )
            return None
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text:
            self.problems.append(f"{what} {plain(file)}: is not UTF-8 text.")
            return None
        return text


def _slip(name: str, known: Sequence[str]) -> bool:
    """Whether a name is nearly one of ours but for its first letters, such as CTV_STORE."""
    head, _, rest = name.upper().partition("_")
    return len(head) in (3, 4, 5) and set(head) <= set("CTV") and f"CCTV_{rest}" in known
