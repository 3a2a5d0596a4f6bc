"""What is fuzzed: every parser of data that comes from outside, bytes in, and the errors it may answer with.

A target returns, or raises an AffectdError of one line; all else is a finding. `scripts/fuzz` drives them with a
coverage-guided fuzzer, tests/device/test_fuzz.py with the kept corpus and mutations of it.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from affectd.capture.clip_file import probe_clip
from affectd.config_file import load
from affectd.errors import AffectdError
from affectd.inference.bundle import MANIFEST, Bundle
from affectd.inference.golden import Golden
from affectd.service.privacy import PrivacySwitch

MODELS = Path(__file__).parents[2] / "models"
CORPUS = Path(__file__).parent / "corpus"
DECODED = 8
"""Pictures and blocks of sound that are decoded of a clip."""


class UnclearAnswerError(Exception):
    """A parser answered with what a user cannot mend."""


def config(data: bytes) -> None:
    """Read a configuration file, as every subcommand does first."""
    path = _file("affectd.toml", data)
    _checked(lambda: load(path, {}))


def manifest(data: bytes) -> None:
    """Open a bundle whose manifest.json holds `data`, its model and golden samples too."""
    folder = _bundle()
    genuine = (folder / MANIFEST).read_bytes()
    (folder / MANIFEST).write_bytes(data)

    def open_it() -> None:
        bundle = Bundle.load(folder)
        for kind in bundle.variants:
            bundle.model_file(kind)
        bundle.golden()

    try:
        _checked(open_it)
    finally:
        (folder / MANIFEST).write_bytes(genuine)


def golden(data: bytes) -> None:
    """Read golden samples."""
    path = _file("golden.npz", data)
    _checked(lambda: Golden.load(path, input_shape=(48, 48, 1), labels=7))


def model(data: bytes) -> None:
    """Open a variant that holds `data` under the checksum of another: nothing but the refusal may come of it."""
    folder = _bundle()
    bundle = Bundle.load(folder)
    variant = bundle.variants["int8"]
    if hashlib.sha256(data).hexdigest() == variant.sha256:
        return
    (folder / variant.file).write_bytes(data)
    try:
        bundle.model_file("int8")
    except AffectdError:
        return
    finally:
        shutil.copyfile(MODELS / folder.name / variant.file, folder / variant.file)
    raise UnclearAnswerError(f"{variant.file}: opened with a wrong checksum")


def command(data: bytes) -> None:
    """Send the privacy switch a payload, as the session hands it on."""
    switch = PrivacySwitch(close=list, open_again=lambda: None, on_change=lambda _: None)
    switch.command(data.decode("utf-8", "replace"))
    switch.poll()
    if switch.state.on != (data.decode("utf-8", "replace").strip().lower() == "on"):
        raise UnclearAnswerError(f"privacy is {switch.state.on} after {data[:40]!r}")


def clip(data: bytes) -> None:
    """Probe a clip and decode the beginning of its tracks."""
    path = _file("clip.mp4", data)

    def play() -> None:
        found = probe_clip(path)
        for track, there in ((found.pictures, found.has_video), (found.sound, found.has_audio)):
            if there:
                list(itertools.islice(track(0.0), DECODED))

    _checked(play)


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "config": config,
    "manifest": manifest,
    "golden": golden,
    "model": model,
    "command": command,
    "clip": clip,
}


def seeds(name: str) -> list[bytes]:
    """Give the kept corpus of a target, smallest first."""
    files = sorted((CORPUS / name).iterdir(), key=lambda file: (file.stat().st_size, file.name))
    return [file.read_bytes() for file in files if file.is_file()]


def _checked(parse: Callable[[], object]) -> None:
    try:
        parse()
    except AffectdError as error:
        if not str(error) or "\n" in str(error):
            raise UnclearAnswerError(
                f"an error of {len(str(error).splitlines())} lines: {str(error)[:200]!r}"
            ) from error


@cache
def _folder() -> Path:
    """Give a folder of this process's own, in memory where there is such."""
    memory = "/dev/shm"
    return Path(tempfile.mkdtemp(prefix="affectd-fuzz-", dir=memory if os.access(memory, os.W_OK) else None))


def _file(name: str, data: bytes) -> Path:
    path = _folder() / name
    path.write_bytes(data)
    return path


@cache
def _bundle() -> Path:
    """Copy the smallest shipped bundle."""
    folder = _folder() / "voice-cnn-lstm"
    shutil.copytree(MODELS / "voice-cnn-lstm", folder, ignore=shutil.ignore_patterns("training", "*.md"))
    return folder
