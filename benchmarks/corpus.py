"""Holds the verifier against pictures that nobody here wrote, and against djpeg, a decoder of another house.

    python benchmarks/corpus.py [FOLDER]

Without a folder it fetches the test pictures of Pillow, thumbor and Go (pip and apt-get; 80 MB) into a temporary one.
Needs djpeg (libjpeg-turbo-progs). Prints where the verdicts differ; exits 1 when one of them has no known reason.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from pathlib import Path

from cctv_images.errors import CameraError
from cctv_images.process.verify import examine

SDISTS = ("pillow==13.0.0", "thumbor==7.8.0")
DEBS = ("golang-1.19-src",)
ENDINGS = {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"}
REASONS = {
    "extraneous bytes before marker 0xdb": "junk among the headers costs no picture",
    "extraneous bytes before marker 0xe1": "junk among the headers costs no picture",
    "Premature end of JPEG file": "only the end marker is missing",
    "starts with 0x89 0x50": "a PNG by another name: turned into JPEG",
}


def fetch(folder: Path) -> None:
    for name in SDISTS:
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", name]
        subprocess.run(pip, cwd=folder, check=True)
    for name in DEBS:
        subprocess.run(["apt-get", "download", "-qq", name], cwd=folder, check=True)
    for archive in folder.glob("*.tar.gz"):
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    for archive in folder.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", archive.name, "deb"], cwd=folder, check=True)


def ours(data: bytes) -> tuple[bytes | None, str]:
    try:
        picture = examine(data, 50_000_000)
    except CameraError as err:
        return None, f"{err.state}: {err.detail}"
    return picture.data, f"{picture.width}×{picture.height}"


def djpeg(data: bytes) -> str:
    """What djpeg complains of; empty when it decodes without a warning."""
    run = subprocess.run(["djpeg", "-outfile", "/dev/null"], input=data, capture_output=True, check=False)
    said = run.stderr.decode(errors="replace").strip().replace("\n", "; ")
    return said or ("" if run.returncode == 0 else f"exit {run.returncode}")


def reason(published: bytes | None, verdict: str, said: str) -> str | None:
    if published is None:
        return "larger than the limit" if verdict.startswith("too_large") else None
    return next((why for word, why in REASONS.items() if word in said), None)


def compare(folder: Path) -> Counter[str]:
    counts: Counter[str] = Counter()
    bodies = {p.read_bytes(): p.name for p in sorted(folder.rglob("*")) if p.suffix.lower() in ENDINGS and p.is_file()}
    for data, name in bodies.items():
        (published, verdict), said = ours(data), djpeg(data)
        if (published is not None) == (not said):
            counts["alike"] += 1
            continue
        why = reason(published, verdict, said)
        counts["known" if why else "unexplained"] += 1
        print(f"{name}: {verdict} | djpeg: {said or 'no complaint'} | {why or 'UNEXPLAINED'}")
    return counts


def main() -> int:
    if len(sys.argv) > 1:
        counts = compare(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            fetch(Path(folder))
            counts = compare(Path(folder))
    print(f"{counts['alike']} alike, {counts['known']} differ for a known reason, {counts['unexplained']} unexplained")
    return 1 if counts["unexplained"] or not counts["alike"] else 0


if __name__ == "__main__":
    sys.exit(main())
