"""The sound of a file in chunks, as a microphone would deliver it: WAV by itself, all other formats by PyAV."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from affectd.capture import wav_file
from affectd.capture.clip import Clip
from affectd.capture.file_kind import FileKind
from affectd.capture.protocols import EndOfClipError, Microphone
from affectd.errors import CaptureError
from affectd.events import AudioChunk
from affectd.resample import SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class SoundFile:
    """A file's sound."""

    chunks: Iterator[AudioChunk]
    """Mono at 16 kHz, decoded on demand; CaptureError where the file is cut short or damaged."""
    of_video: bool
    """Whether the file has moving pictures too."""


def open_sound(stream: BinaryIO, path: Path, kind: FileKind) -> SoundFile:
    """Return the sound of the file at `path`, which is open in `stream`. Raises CaptureError."""
    if kind.sense == "wav" and wav_file.read_format(stream, str(path))[0].known:
        return SoundFile(_chunks(wav_file.read_sound(stream, str(path))), of_video=False)
    clip = _open_clip(path)
    if clip.microphone is None:
        raise CaptureError(f"{path}: a video without sound; `affectd run --clip` plays it, or save a picture of it")
    return SoundFile(_played(clip.microphone), of_video=clip.camera is not None)


def _open_clip(path: Path) -> Clip:
    if importlib.util.find_spec("av") is None:
        raise CaptureError(
            f"{path}: neither a picture nor a plain WAV file; other sound, and a video's, needs the extra `clip`: "
            f"`{sys.executable} -m pip install av`"
        )
    try:
        return Clip(path, realtime=False, loop=False, fps=1.0)
    except CaptureError as error:
        raise CaptureError(f"{path}: holds no picture, and {str(error).removeprefix(f'clip {path}: ')}") from error


def _chunks(blocks: Iterator[NDArray[np.int16]]) -> Iterator[AudioChunk]:
    end = 0
    for samples in blocks:
        end += samples.size
        yield AudioChunk(samples, SAMPLE_RATE, end / SAMPLE_RATE)


def _played(microphone: Microphone) -> Iterator[AudioChunk]:
    microphone.open()
    try:
        while True:
            yield microphone.read()
    except EndOfClipError:
        return
    finally:
        microphone.close()
