"""What every kind of voice features has: its parameters in the manifest, its shape, and its stream."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from affectd.errors import ModelError
from affectd.resample import SAMPLE_RATE
from affectd.voice.speech_frames import FloatArray, Frames

Ranges = list[tuple[str, bool, str]]
"""Keys with whether their value is allowed, and what is."""
_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


class FeatureStream(ABC):
    """The features of one stream of sound, of which the newest make the network's input. Not thread-safe."""

    @abstractmethod
    def reset(self) -> None:
        """Forget the stream: the next sample is the first."""

    @abstractmethod
    def push(self, samples: NDArray[np.int16], frames: Frames) -> None:
        """Take the next samples (n,) int16 at 16 kHz, and the speech frames that they complete."""

    @abstractmethod
    def values(self) -> FloatArray:
        """Return the newest sound's features (n, columns), neither padded nor normalized."""

    @abstractmethod
    def window(self) -> FloatArray:
        """Return the network's input, of the features' shape, for the newest sound."""


@dataclass(frozen=True, kw_only=True)
class VoiceFeatures(ABC):
    """How sound is brought to numbers; stands in the manifest of every voice bundle."""

    kind: ClassVar[str]
    statistics_needed: ClassVar[bool] = False
    """Whether the manifest must have `mean` and `std`."""
    sample_rate: int = SAMPLE_RATE
    """Hz; sound comes at 16 kHz and is resampled."""
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    """Statistics of the training data, one per column or one for all; empty: not normalized."""

    @staticmethod
    def from_manifest(
        values: Mapping[str, Any], *, where: str = "manifest", without_statistics: bool = False
    ) -> VoiceFeatures:
        """Read the manifest's `features`; without a `kind` they are MFCC.

        Raises ModelError that names the key, after `where`, and what is allowed. `without_statistics` allows MFCC
        without `mean` and `std`, as before they are fitted.
        """
        given = dict(values)
        kind, kinds = given.pop("kind", "mfcc"), _kinds()
        if not isinstance(kind, str) or kind not in kinds:
            raise ModelError(f"{where}: features.kind must be one of {', '.join(kinds)}, not {kind!r}")
        needed = kinds[kind].statistics_needed and not without_statistics
        return _read(kinds[kind], given, where, statistics_needed=needed)

    def to_manifest(self) -> dict[str, Any]:
        """Return the manifest's `features`."""
        values = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        statistics = {key: values.pop(key) for key in ("mean", "std")}
        return {"kind": self.kind, **values, **statistics}

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape of the network's input, without the batch axis."""

    @property
    @abstractmethod
    def window_s(self) -> float:
        """Seconds of sound that the network sees."""

    @property
    @abstractmethod
    def shortest_s(self) -> float:
        """Seconds of sound that the least features need."""

    @property
    @abstractmethod
    def statistics(self) -> tuple[int, ...]:
        """How many values `mean` and `std` may have."""

    @abstractmethod
    def ranges(self) -> Ranges:
        """Return what is allowed of the parameters."""

    @abstractmethod
    def stream(self) -> FeatureStream:
        """Return a new stream of these features."""

    def normalized(self, values: FloatArray) -> FloatArray:
        """Return values (n, columns) less the mean, over the deviation."""
        if not self.mean:
            return values
        mean, std = self._arrays
        return (values - mean) / std

    @cached_property
    def _arrays(self) -> tuple[FloatArray, FloatArray]:
        return np.asarray(self.mean, np.float32), np.asarray(self.std, np.float32)

    def check_input(self, shape: Sequence[int], where: str = "manifest") -> None:
        """Raise ModelError unless a network of input `shape`, the batch of 1 first, can take these features."""
        if _sizes(shape) != _sizes(self.shape):
            raise ModelError(
                f"{where}: the network takes {shown(shape)}, but features of kind {self.kind} are "
                f"{shown((1, *self.shape))}; set the sizes in features that it was trained with"
            )


def shown(shape: Sequence[int]) -> str:
    """Return a shape as people write it."""
    return "(" + ", ".join(map(str, shape)) + ")"


def _sizes(shape: Sequence[int]) -> list[int]:
    """Return the sizes of a shape that arrange values: an axis of one does not."""
    return [size for size in shape if size != 1]


def _kinds() -> dict[str, type[VoiceFeatures]]:
    return {each.kind: each for each in VoiceFeatures.__subclasses__()}


def _read(
    kind: type[VoiceFeatures], values: Mapping[str, Any], where: str, *, statistics_needed: bool
) -> VoiceFeatures:
    defaults = {each.name: each.default for each in fields(kind)}
    arguments = {}
    for key, value in values.items():
        if key not in defaults:
            known = ", ".join(defaults)
            raise ModelError(f"{where}: features.{key} is unknown to kind {kind.kind}; it has {known}")
        arguments[key] = _value(defaults[key], value, f"{where}: features.{key}")
    features = kind(**arguments)
    rate = features.sample_rate
    # Resampling works in periods that the two rates share: at other rates sound would lag by up to a second.
    common = ("sample_rate", 1_000 <= rate <= 192_000 and rate % 25 == 0, "in 1000..192000, and a multiple of 25")
    for key, fits, wanted in [common, *features.ranges()]:
        if not fits:
            raise ModelError(f"{where}: features.{key} must be {wanted}, not {getattr(features, key)!r}")
    _check_statistics(features, where, needed=statistics_needed)
    return features


def _value(default: Any, value: Any, name: str) -> Any:
    """Return a value of its default's own type; raise ModelError with its name where it is none."""
    if isinstance(default, tuple):
        item = str if default and isinstance(default[0], str) else float
        if not isinstance(value, list | tuple) or not all(_is_a(item, one) for one in value):
            raise ModelError(f"{name} must be a list of {'texts' if item is str else 'numbers'}, not {value!r:.60}")
        return tuple(value)
    if not _is_a(type(default), value):
        raise ModelError(f"{name} must be {_WORDS[type(default)]}, not {value!r:.60}")
    return value


def _is_a(kind: type, value: Any) -> bool:
    if kind is float:
        return type(value) in {int, float} and bool(np.isfinite(value))
    return type(value) is kind


def _check_statistics(features: VoiceFeatures, where: str, *, needed: bool) -> None:
    means, stds, allowed = len(features.mean), len(features.std), features.statistics
    if means not in (allowed if needed else (0, *allowed)):
        wanted = " or ".join(f"{count} value{'s' * (count > 1)}" for count in allowed)
        wanted += ", one for each column" if allowed[-1] > 1 else ""
        raise ModelError(f"{where}: features.mean must be {wanted}, not {means}")
    if stds != means:
        raise ModelError(f"{where}: features.std must be as many values as mean has, {means}, not {stds}")
    if stds and min(features.std) <= 0:
        raise ModelError(f"{where}: features.std must be above 0 in every column, not {min(features.std)}")
