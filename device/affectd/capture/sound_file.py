"""The sound of a file in chunks, as a microphone would deliver it: WAV by itself, all other formats by PyAV."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from affectd.capture import wav_file
from affectd.capture.clip import Clip
from affectd.capture.file_kind import FileKind
from affectd.capture.protocols import EndOfClipError
from affectd.capture.resample import SAMPLE_RATE
from affectd.errors import CaptureError
from affectd.events import AudioChunk


def read_sound(stream: BinaryIO, path: Path, kind: FileKind) -> Iterator[AudioChunk]:
    """Yield the sound of the file at `path`, open in `stream`; of a video, its sound track. Raises CaptureError."""
    if kind.sense != "wav" or not wav_file.read_format(stream, str(path))[0].known:
        yield from _read_by_pyav(path)
        return
    heard = 0
    for samples in wav_file.read_sound(stream, str(path)):
        heard += samples.size
        yield AudioChunk(samples, SAMPLE_RATE, heard / SAMPLE_RATE)


def _read_by_pyav(path: Path) -> Iterator[AudioChunk]:
    if importlib.util.find_spec("av") is None:
        raise CaptureError(
            f"{path}: neither a picture nor a plain WAV file; other sound, and that of a video, needs PyAV: "
            f"`{sys.executable} -m pip install av`"
        )
    try:
        microphone = Clip(path, realtime=False, loop=False, fps=1.0).microphone
    except CaptureError as error:
        raise CaptureError(f"{path}: holds no picture, and {str(error).removeprefix(f'clip {path}: ')}") from error
    if microphone is None:
        raise CaptureError(f"{path}: a video without sound; `affectd run --clip` plays it, or save a picture of it")
    microphone.open()
    try:
        while True:
            yield microphone.read()
    except EndOfClipError:
        return
    finally:
        microphone.close()
