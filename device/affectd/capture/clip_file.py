"""The tracks of a recorded clip, decoded by PyAV from any media time on."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectd.capture.pixel_aspect import SQUARE, plausible_aspect, with_square_pixels
from affectd.capture.pixel_format import gray_picture
from affectd.errors import CaptureError
from affectd.resample import SAMPLE_RATE

CUT_SHORT_S = 1.0
"""A track that ends so much before the end in its header was cut short."""

OLDEST_PYAV = 12
"""Debian 12 has PyAV 10."""

LUMA_FIRST = {
    **dict.fromkeys(("yuv420p", "yuv422p", "yuv444p", "nv12"), False),
    **dict.fromkeys(("yuvj420p", "yuvj422p", "yuvj444p", "gray"), True),
}
"""FFmpeg's names of formats whose first plane is the grey picture, each with whether it always has the full range."""
FULL_RANGE = 2
"""FFmpeg's AVCOL_RANGE_JPEG."""

SHORTEST_S = 0.04
"""What a clip of a single picture lasts, so that it can be looped."""


@dataclass(frozen=True)
class Picture:
    """One decoded picture of a clip, for an `Imager`."""

    frame: Any
    """av.VideoFrame."""
    pixel_aspect: Fraction | None
    """Width over height of its pixels; None where the clip does not signal it."""


@dataclass(frozen=True)
class ClipFile:
    """A clip that was found good; `probe_clip` makes it."""

    path: Path
    duration_s: float
    has_video: bool
    has_audio: bool

    def pictures(self, start_s: float) -> Iterator[tuple[float, Picture]]:
        """Return (media time in seconds, picture) from `start_s` on.

        Raises CaptureError naming the second at which the track cannot be decoded.
        """
        with _opened(self.path) as container:
            stream = _video_stream(container)
            first_aspect = stream.codec_context.sample_aspect_ratio
            for time_s, frame in _decoded(self.path, container, stream, start_s):
                if time_s >= start_s:
                    yield time_s, Picture(frame, _pixel_aspect(stream, first_aspect))

    def sound(self, start_s: float) -> Iterator[tuple[float, NDArray[np.int16]]]:
        """Return (media time of the first sample, (n,) mono samples at 16 kHz) from `start_s` on.

        Raises CaptureError naming the second at which the track cannot be decoded.
        """
        import av

        resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
        with _opened(self.path) as container:
            end_s = start_s
            for time_s, frame in _decoded(self.path, container, _audio_stream(container), start_s):
                samples = _samples(resampler.resample(frame))
                early = max(0, round((start_s - time_s) * SAMPLE_RATE))
                end_s = time_s + samples.size / SAMPLE_RATE
                if early < samples.size:
                    yield max(time_s, start_s), samples[early:]
            rest = _samples(resampler.resample(None))
            if rest.size and end_s >= start_s:
                yield end_s, rest


def probe_clip(path: Path) -> ClipFile:
    """Open a clip and decode the beginning of each track. Raises CaptureError in one sentence."""
    if not path.is_file():
        raise CaptureError(f"clip {path}: {'is a folder, not a clip' if path.is_dir() else 'no such file'}")
    with _opened(path) as container:
        has_video = _video_stream(container) is not None
        has_audio = _audio_stream(container) is not None
        length = container.duration
    clip = ClipFile(path, (length or 0) / 1_000_000, has_video, has_audio)
    has_video = has_video and next(clip.pictures(0.0), None) is not None
    has_audio = has_audio and next(clip.sound(0.0), None) is not None
    if not has_video and not has_audio:
        raise CaptureError(f"clip {path}: has neither picture nor sound; take an mp4, mkv, avi or wav file")
    duration_s = max(clip.duration_s or _measured_duration(clip), SHORTEST_S)
    return ClipFile(path, duration_s, has_video, has_audio)


class Imager:
    """Makes images of a track's pictures. One scaler for all of them: a new one starts threads of its own."""

    def __init__(self, pixel_aspect: Fraction | None) -> None:
        """Prepare; `pixel_aspect`, width over height of a pixel, overrides the aspect that the clip signals."""
        from av.video.reformatter import VideoReformatter

        self._scaler = VideoReformatter()
        self._pixel_aspect = pixel_aspect

    def image(self, picture: Picture, *, colour: bool = True) -> NDArray[np.uint8]:
        """Convert a picture to (height, width, 3) BGR of square pixels, upright when a phone recorded it turned.

        Without `colour` to (height, width) grey, where its format has that as a plane of its own.
        """
        gray = None if colour else _luma(picture.frame)
        if gray is None:
            image = np.asarray(self._scaler.reformat(picture.frame, format="bgr24").to_ndarray(), np.uint8)
        else:
            image = gray
        # The header's aspect is that of the pixels as they were stored, before they are turned.
        image = with_square_pixels(image, self._pixel_aspect or picture.pixel_aspect or SQUARE)
        quarter_turns = round(getattr(picture.frame, "rotation", 0) / 90) % 4
        return np.ascontiguousarray(np.rot90(image, quarter_turns)) if quarter_turns else image


def _luma(frame: Any) -> NDArray[np.uint8] | None:
    """Return the grey picture (height, width) of an av.VideoFrame; None where it is no plane of its format."""
    full_range = LUMA_FIRST.get(frame.format.name)
    if full_range is None:
        return None
    plane, whole = frame.planes[0], full_range or frame.color_range == FULL_RANGE
    data = np.frombuffer(plane, np.uint8)
    return gray_picture(data, "NV12", frame.width, frame.height, row_bytes=plane.line_size, full_range=whole)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        import av
    except ImportError as error:
        raise CaptureError(
            f"clip {path}: PyAV is not installed ({error}); run `{sys.executable} -m pip install av`"
        ) from error
    if int(av.__version__.partition(".")[0]) < OLDEST_PYAV:
        raise CaptureError(
            f"clip {path}: PyAV {av.__version__} is too old, {OLDEST_PYAV} is needed; run "
            f"`{sys.executable} -m pip install 'av>={OLDEST_PYAV}'`"
        )
    try:
        # The whitelist keeps a playlist that calls itself a clip from reaching out to the network.
        container = av.open(f"file:{path}", options={"protocol_whitelist": "file"})
    except (av.FFmpegError, OSError, ValueError) as error:
        raise CaptureError(
            f"clip {path}: cannot be read as a clip ({_reason(error)}); is it complete, and a video or sound file?"
        ) from error
    with container:
        # FFmpeg draws text files as pictures of a terminal.
        if container.format.name == "tty":
            raise CaptureError(f"clip {path}: is a text file, not a clip")
        yield container


def _decoded(path: Path, container: Any, stream: Any, start_s: float) -> Iterator[tuple[float, Any]]:
    """Return (media time, frame) from the key frame before `start_s` on."""
    import av

    origin_s = (container.start_time or 0) / 1_000_000
    time_s = end_s = start_s
    frames = 0
    try:
        if start_s > 0:
            container.seek(int((start_s + origin_s) * 1_000_000))
        for frame in container.decode(stream):
            if frame.time is None:
                raise CaptureError(
                    f"clip {path}: has no time stamps; put it into an mp4 with `ffmpeg -i {path.name} clip.mp4`"
                )
            time_s = frame.time - origin_s
            # PyAV before 14.4 does not report it, nor do some files.
            end_s = time_s + float((getattr(frame, "duration", None) or 0) * frame.time_base)
            frames += 1
            yield time_s, frame
    except (av.FFmpegError, OSError, ValueError) as error:
        raise CaptureError(f"clip {path}: cannot be decoded at second {time_s:.1f} ({_reason(error)})") from error
    declared_s = float(stream.duration * stream.time_base) if stream.duration else 0.0
    if frames and end_s < declared_s - CUT_SHORT_S:
        raise CaptureError(f"clip {path}: cut short at second {time_s:.1f} of {declared_s:.1f}")


def _video_stream(container: Any) -> Any:
    """Return the first moving picture, or None; a sound file's cover is none."""
    import av.stream

    cover = av.stream.Disposition.attached_pic
    return next((s for s in container.streams.video if not s.disposition & cover), None)


def _pixel_aspect(stream: Any, first: Fraction | None) -> Fraction | None:
    """Return width over height of a pixel at the picture that was just decoded; None where nothing signals it.

    The container's word, which is stated once, counts for more than the codec's, until the codec's is no longer
    `first`, the one it began with.
    """
    codec = stream.codec_context.sample_aspect_ratio
    aspect = codec if codec and codec != first else stream.sample_aspect_ratio or codec
    return plausible_aspect(aspect.numerator, aspect.denominator) if aspect else None


def _audio_stream(container: Any) -> Any:
    return next(iter(container.streams.audio), None)


def _samples(frames: list[Any]) -> NDArray[np.int16]:
    return np.concatenate([np.empty(0, np.int16), *(frame.to_ndarray()[0] for frame in frames)])


def _measured_duration(clip: ClipFile) -> float:
    """Decode a clip whose header has no length once."""
    pictures = max((time_s for time_s, _ in clip.pictures(0.0)), default=0.0) if clip.has_video else 0.0
    sounds = (time_s + samples.size / SAMPLE_RATE for time_s, samples in clip.sound(0.0))
    return max(pictures, max(sounds, default=0.0) if clip.has_audio else 0.0)


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
