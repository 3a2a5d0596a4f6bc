"""The papers' voice protocols: four networks over the device's speech features, RAVDESS with SAVEE and TESS.

CREMA-D, which three of the papers use too, is left out. No augmentation.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectd.events import LABELS, VOICE_LABELS
from affectd.voice.features import MfccExtractor, MfccFeatures
from affectd_convert.architectures import cnn, cnn1d, cnn_lstm, cnn_then_lstm, mlp
from affectd_convert.datasets import speech
from affectd_convert.errors import DataError
from affectd_convert.papers.fitting import SEED, Recipe
from affectd_convert.papers.splits import Split, at_random, speakers_apart

FloatArray = NDArray[np.float32]
FEATURES = MfccFeatures()


@dataclass(frozen=True)
class VoiceProtocol:
    """One paper's voice experiment."""

    name: str
    corpora: tuple[str, ...]
    labels: tuple[str, ...]
    network: Callable[[int], Any]
    """Number of labels to a Keras network over `summary` or frames."""
    recipe: Recipe
    summary: bool = False
    """The network sees each column's mean and deviation over the clip, not the frames."""


def _over_frames(build: Callable[..., Any]) -> Callable[[int], Any]:
    return partial(build, frames=FEATURES.window_frames, columns=FEATURES.columns)


CORPORA = ("ravdess", "savee", "tess")
PROTOCOLS = (
    VoiceProtocol(
        "gandhi-cnn-lstm", ("ravdess", "savee"), VOICE_LABELS, _over_frames(cnn_lstm.build), Recipe(epochs=40)
    ),
    VoiceProtocol(
        "das-mlp",
        ("ravdess",),
        LABELS,
        partial(mlp.over_summary, columns=2 * FEATURES.columns),
        Recipe(epochs=200),
        summary=True,
    ),
    VoiceProtocol("dargula-cnn", CORPORA, LABELS, _over_frames(cnn.build), Recipe(epochs=15)),
    VoiceProtocol("dargula-cnn-lstm", CORPORA, LABELS, _over_frames(cnn_then_lstm.build), Recipe(epochs=10)),
    VoiceProtocol("khachatryan-cnn", CORPORA, LABELS, _over_frames(cnn1d.build), Recipe(epochs=6)),
)
SPLITS: dict[str, Callable[[Sequence[speech.Utterance]], Split]] = {
    "random 80/20": lambda clips: at_random(len(clips), train=0.8, test=0.2, seed=SEED),
    "speakers apart": speakers_apart,
}


def rows_of(protocol: VoiceProtocol, clips: Sequence[speech.Utterance]) -> NDArray[np.int64]:
    """Return the row numbers of the clips that a protocol is about. Raises DataError naming a corpus not there."""
    for corpus in protocol.corpora:
        if not any(clip.corpus == corpus for clip in clips):
            raise DataError(f"{protocol.name} needs {corpus}, and no clip of it is there")
    return np.array([row for row, clip in enumerate(clips) if clip.corpus in protocol.corpora])


def label_numbers(clips: Sequence[speech.Utterance], labels: tuple[str, ...]) -> NDArray[np.int64]:
    """Return label numbers (n,); where `labels` has no calm, it is neutral, as the device folds it."""
    emotions = ["neutral" if clip.emotion == "calm" and "calm" not in labels else clip.emotion for clip in clips]
    return np.array([labels.index(emotion) for emotion in emotions])


def windows(clips: Sequence[speech.Utterance], cache: Path) -> NDArray[np.float16]:
    """Return the middle three seconds of each clip as the device's feature frames (n, 300, 83), not normalized.

    They are kept in the folder `cache`, and taken from there as long as clips and features are the same.
    """
    key = json.dumps([FEATURES.to_manifest(), [str(clip.path) for clip in clips]])
    file = cache / f"windows-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npy"
    if not file.exists():
        found = np.stack([_window(clip) for clip in clips])
        part = file.with_suffix(".part")
        with part.open("wb") as stream:
            np.save(stream, found)
        part.replace(file)
    return np.asarray(np.load(file, allow_pickle=False), np.float16)


def _window(clip: speech.Utterance) -> NDArray[np.float16]:
    static = MfccExtractor(FEATURES).feed(speech.read_samples(clip.path, FEATURES.sample_rate))
    start = max(len(static) - FEATURES.window_frames, 0) // 2
    return FEATURES.window(static[start : start + FEATURES.window_frames]).astype(np.float16)


def network_inputs(frames: NDArray[np.float16], train: NDArray[np.int64], *, summary: bool) -> FloatArray:
    """Bring windows (n, 300, 83) to what a network sees, normalized by the rows `train` alone.

    Frames (n, 300, 83) float32 with zeros (the training mean) for the padding, or the summary (n, 166).
    """
    values = frames.astype(np.float32)
    sounds = np.any(values != 0, axis=2)
    if summary:
        values = np.stack([_summary(window[sound]) for window, sound in zip(values, sounds, strict=True)])
        normal = (values - values[train].mean(axis=0)) / (values[train].std(axis=0) + 1e-6)
        return np.asarray(normal, np.float32)
    heard = values[train][sounds[train]]
    mean, std = heard.mean(axis=0), heard.std(axis=0) + 1e-6
    values -= mean
    values /= std
    values[~sounds] = 0
    return values


def _summary(window: FloatArray) -> FloatArray:
    return np.concatenate([window.mean(axis=0), window.std(axis=0)])
