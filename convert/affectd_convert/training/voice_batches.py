"""Batches of speech: windows as the daemon sees them, cut from augmented renditions, and masked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from affectd.events import VOICE_LABELS
from affectd.resample import SAMPLE_RATE
from affectd.voice.features import MfccFeatures, VoiceFeatures
from affectd_convert.datasets.clip_windows import clip_windows
from affectd_convert.datasets.speech import Utterance, read_samples
from affectd_convert.training.batch import Batch
from affectd_convert.training.mixup import mixed
from affectd_convert.training.renditions import Renditions

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class WindowAugmentation:
    """How windows are cut from renditions, and what is hidden of them."""

    recorded: float = 0.25
    """Share of windows that are cut from clips as recorded, besides those drawn among all renditions."""
    shortest_s: float = 1.0
    """A window holds between this and 3 s of sound; the rest is padding on the left."""
    full_share: float = 0.7
    """Share of windows that are as long as the network sees."""
    masks: int = 2
    """Spectral masking (Park et al. 2019): bands of cepstra and stretches of time set to the mean."""
    smoothing: float = 0.1
    """Share of every target that is spread over all labels."""
    of_speaker: int = 60
    """Clips of one speaker in an epoch, at most: TESS, of two speakers, has more clips than all other corpora."""
    tempo: float = 1.25
    """Half of the windows are spoken at most this many times as fast or as slowly, pitch and timbre as they were."""
    pitch_octaves: float = 0.25
    """The voice is at most this much higher or lower."""
    timbre: float = 0.25
    """Deviation of the constant added to every cepstrum, in the cepstrum's own: another voice or microphone."""
    level: float = 0.4
    """Deviation of the constant added to level and first cepstrum together, in their own: another distance."""
    mixup: float = 0.3
    """Alpha of the Beta distribution that two windows and their targets are mixed by."""


def fit_normalization(features: MfccFeatures, training: Sequence[Renditions]) -> MfccFeatures:
    """Return `features` with mean and deviation of every column over all frames of the clips as recorded."""
    bare = replace(features, mean=(), std=())
    count, total, squares = 0, np.zeros(bare.columns), np.zeros(bare.columns)
    for renditions in training:
        static = renditions.frames[0].astype(np.float32)
        frames = replace(bare, window_frames=len(static)).window(static).astype(np.float64)
        count += len(frames)
        total += frames.sum(axis=0)
        squares += (frames * frames).sum(axis=0)
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean * mean, 1e-6))
    return replace(features, mean=tuple(round(float(v), 5) for v in mean), std=tuple(round(float(v), 5) for v in std))


@dataclass(frozen=True, kw_only=True)
class VoiceBatches:
    """All training batches of one epoch, made on demand and reproducibly."""

    training: Sequence[Renditions]
    features: MfccFeatures
    augmentation: WindowAugmentation
    batch_size: int
    seed: int
    epoch: int

    def __len__(self) -> int:
        """Count the batches; the last incomplete one is left out."""
        return len(self._order) // self.batch_size

    def __getitem__(self, index: int) -> Batch:
        """Return inputs (batch, window_frames, columns) and target distributions (batch, 8)."""
        rows = self._order[index * self.batch_size : (index + 1) * self.batch_size]
        rng = np.random.default_rng((self.seed, self.epoch, index))
        inputs = np.stack([self._window(self.training[row], rng) for row in rows])
        how = self.augmentation
        hard = np.eye(len(VOICE_LABELS), dtype=np.float32)[[self.training[row].clip.label for row in rows]]
        targets = np.asarray(hard * (1 - how.smoothing) + how.smoothing / len(VOICE_LABELS), np.float32)
        return Batch(*mixed(inputs, targets, how.mixup, rng))

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        rng = np.random.default_rng((self.seed, self.epoch))
        taken: Counter[str] = Counter()
        rows = []
        for row in rng.permutation(len(self.training)):
            speaker = self.training[row].clip.speaker
            if taken[speaker] < self.augmentation.of_speaker:
                taken[speaker] += 1
                rows += [row] * self._repeats[row]
        return rng.permutation(rows)

    @cached_property
    def _repeats(self) -> list[int]:
        """Report of each clip how often an epoch takes it: labels that its speaker speaks less often make up for it.

        RAVDESS has half as many neutral clips as of every other label.
        """
        spoken: dict[str, Counter[str]] = {}
        for one in self.training:
            spoken.setdefault(one.clip.speaker, Counter())[one.clip.emotion] += 1
        usual = {speaker: float(np.median(list(labels.values()))) for speaker, labels in spoken.items()}
        return [
            max(round(usual[one.clip.speaker] / spoken[one.clip.speaker][one.clip.emotion]), 1) for one in self.training
        ]

    def _window(self, renditions: Renditions, rng: np.random.Generator) -> FloatArray:
        spec, how = self.features, self.augmentation
        recorded = rng.random() < how.recorded
        static = renditions.frames[0 if recorded else int(rng.integers(len(renditions.frames)))]
        shortest = round(how.shortest_s / spec.hop_s)
        full = rng.random() < how.full_share
        length = spec.window_frames if full else int(rng.integers(shortest, spec.window_frames))
        tempo = float(how.tempo ** rng.uniform(-1, 1)) if rng.random() < 0.5 else 1.0
        spoken = round(length * tempo)
        start = int(rng.integers(0, max(len(static) - spoken, 0) + 1))
        cut = self._at_tempo(static[start : start + spoken].astype(np.float32), tempo)
        return self._mask(spec.window(self._by_another(cut, rng)), rng)

    def _at_tempo(self, static: FloatArray, tempo: float) -> FloatArray:
        """Return frames (n / tempo, static_columns), between those of `static`; pitch is never between two."""
        places = np.linspace(0, len(static) - 1, max(round(len(static) / tempo), 1))
        before = places.astype(np.int64)
        after = np.minimum(before + 1, len(static) - 1)
        share = (places - before).astype(np.float32)[:, np.newaxis]
        frames = static[before] * (1 - share) + static[after] * share
        # Between voiced and unvoiced (0) there is no pitch.
        pitch = self.features.pitch_column
        frames[:, pitch] = static[np.rint(places).astype(np.int64), pitch]
        return np.asarray(frames, np.float32)

    def _by_another(self, static: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Move timbre, level and pitch of a window (n, static_columns), each by one amount throughout."""
        how, spec = self.augmentation, self.features
        offset = np.zeros(static.shape[1], np.float32)
        offset[: spec.mfcc] = rng.normal(0, how.timbre, spec.mfcc)
        offset[[0, spec.level_column]] += np.float32(rng.normal(0, how.level))
        moved = static + offset * np.asarray(spec.std[: static.shape[1]], np.float32)
        voiced = static[:, spec.pitch_column] != 0
        moved[voiced, spec.pitch_column] += np.float32(rng.uniform(-how.pitch_octaves, how.pitch_octaves))
        return moved

    def _mask(self, window: FloatArray, rng: np.random.Generator) -> FloatArray:
        for _ in range(self.augmentation.masks):
            start, length = rng.integers(0, window.shape[0]), rng.integers(0, 40)
            window[start : start + length] = 0
            first, bands = rng.integers(0, self.features.mfcc), rng.integers(0, 6)
            window[:, first : first + bands] = 0
        return window


@dataclass(frozen=True, eq=False)
class WholeClips:
    """Clips as the daemon hears them, all their windows, for validation."""

    inputs: FloatArray
    """(windows, window_frames, columns) of all clips in a row."""
    counts: NDArray[np.int64]
    """(n,) windows of each clip."""
    targets: FloatArray
    """(n, 8) hard labels one-hot."""

    @classmethod
    def of(cls, clips: Sequence[Utterance], features: VoiceFeatures) -> WholeClips:
        """Read and prepare clips. Raises DataError naming the one that cannot be read."""
        windows = [clip_windows(read_samples(clip.path, SAMPLE_RATE), features) for clip in clips]
        labels = [clip.label for clip in clips]
        counts = np.array([len(one) for one in windows])
        return cls(np.concatenate(windows), counts, np.eye(len(VOICE_LABELS), dtype=np.float32)[labels])

    def logits(self, run: Callable[[FloatArray], FloatArray], /) -> FloatArray:
        """Return logits (n, 8): each clip's mean over its windows, as `clips.clip_logits` does."""
        starts = np.concatenate([[0], np.cumsum(self.counts)[:-1]])
        return np.asarray(np.add.reduceat(run(self.inputs), starts) / self.counts[:, np.newaxis], np.float32)
