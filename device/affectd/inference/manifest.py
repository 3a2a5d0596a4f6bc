"""The parts of a bundle's manifest, and reading them with errors that name file, key and what is allowed.

`manifest.schema.json` documents the same rules; the box does without a JSON Schema library.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from affectd.errors import ModelError

SCHEMA = 1
KINDS = ("float32", "float16", "dynamic", "int8")
"""Kinds of variant: float weights and sums; half-precision weights; int8 weights with float
activations; everything int8."""
FILE_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
SHA256 = r"[0-9a-f]{64}"


@dataclass(frozen=True, slots=True)
class TensorType:
    """How a `.tflite` stores its input or output: real value = scale * (stored - zero_point)."""

    dtype: str
    """'float32' or 'int8'."""
    scale: float
    """0 when dtype is float32."""
    zero_point: int

    def __str__(self) -> str:
        return (
            self.dtype if self.dtype == "float32" else f"{self.dtype} (scale {self.scale:.9g}, zero {self.zero_point})"
        )


@dataclass(frozen=True, slots=True)
class Variant:
    """One `.tflite` of the bundle."""

    kind: str
    file: str
    bytes: int
    sha256: str
    input: TensorType
    output: TensorType
    accuracy: float
    """Share of the evaluation split classified right, 0..1, on the device runtime."""
    agreement: float
    """Share of the evaluation split where its first answer is its float parent's, 0..1."""


@dataclass(frozen=True, slots=True)
class TrainingData:
    """One corpus the weights come from."""

    name: str
    licence: str
    use: str
    """Which part of it, and for what: 'Training split, 28,709 faces'."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """What one variant scored on one split; all shares 0..1."""

    split: str
    samples: int
    variant: str
    accuracy: float
    macro_f1: float
    uar: float
    """Unweighted average recall."""
    ece: float
    """Expected calibration error after temperature scaling, 15 bins."""


class Section:
    """One JSON object of a manifest: each key is taken once and checked, what is left over is refused."""

    def __init__(self, value: Any, where: str, path: str = "") -> None:
        self.where = where
        self._path = path
        if not isinstance(value, Mapping):
            raise ModelError(f"{where}: {path.rstrip('.') or 'the manifest'} must be an object, not {_shown(value)}")
        self._left: dict[str, Any] = dict(value)

    def refuse(self, key: str, allowed: str, value: Any) -> ModelError:
        """Return the error for a key whose value is not allowed."""
        return ModelError(f"{self.where}: {self._path}{key} must be {allowed}, not {_shown(value)}")

    def take(self, key: str) -> Any:
        """Take a key's raw value."""
        if key not in self._left:
            raise ModelError(f"{self.where}: {self._path}{key} is missing")
        return self._left.pop(key)

    def section(self, key: str) -> Section:
        """Take an object."""
        return Section(self.take(key), self.where, f"{self._path}{key}.")

    def sections(self, key: str) -> list[Section]:
        """Take a list of objects."""
        items = self.take(key)
        if not isinstance(items, list):
            raise self.refuse(key, "a list of objects", items)
        return [Section(item, self.where, f"{self._path}{key}[{i}].") for i, item in enumerate(items)]

    def mapping(self, key: str) -> dict[str, Any]:
        """Take an object that is passed on as it stands."""
        value = self.take(key)
        if not isinstance(value, dict):
            raise self.refuse(key, "an object", value)
        return value

    def text(self, key: str, *, choices: Sequence[str] = (), pattern: str = r"[^\n]+", hint: str = "") -> str:
        """Take a string, one of `choices` or matching the whole `pattern` (`hint` says it in words)."""
        value = self.take(key)
        if choices and value not in choices:
            raise self.refuse(key, "one of " + ", ".join(choices), value)
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise self.refuse(key, hint or "one line of text", value)
        return value

    def number(self, key: str, low: float = 0.0, high: float = 1.0) -> float:
        """Take a number in low..high."""
        value = self.take(key)
        if not _is_number(value) or not low <= value <= high:
            raise self.refuse(key, f"a number in {low:g}..{high:g}", value)
        return float(value)

    def whole(self, key: str, low: int, high: int = 2**53) -> int:
        """Take a whole number in low..high."""
        value = self.take(key)
        if not _is_number(value) or int(value) != value or not low <= value <= high:
            raise self.refuse(key, f"a whole number in {low}..{high}", value)
        return int(value)

    def flag(self, key: str) -> bool:
        """Take true or false."""
        value = self.take(key)
        if not isinstance(value, bool):
            raise self.refuse(key, "true or false", value)
        return value

    def whole_or_pair(self, key: str, low: int, high: int) -> int | tuple[int, int]:
        """Take a whole number in low..high, or a list of two that differ; of two that are the same, the one."""
        value = self.take(key)
        pair = value if isinstance(value, list) else [value, value]
        if len(pair) != 2 or not all(_is_number(n) and int(n) == n and low <= n <= high for n in pair):
            raise self.refuse(key, f"a whole number in {low}..{high}, or a list of two", value)
        first, second = (int(n) for n in pair)
        return first if first == second else (first, second)

    def per_channel(self, key: str, channels: int, low: float, high: float) -> float | tuple[float, ...]:
        """Take a number in low..high, or a list of one for each channel."""
        value = self.take(key)
        numbers = value if isinstance(value, list) else [value] * channels
        if len(numbers) != channels or not all(_is_number(n) and low <= n <= high for n in numbers):
            each = f", or a list of {channels}, one for each channel" if channels > 1 else ""
            raise self.refuse(key, f"a number in {low:g}..{high:g}{each}", value)
        return tuple(float(n) for n in numbers) if isinstance(value, list) else float(value)

    def numbers(self, key: str, count: int) -> tuple[float, ...]:
        """Take a list of `count` numbers in 0..1."""
        value = self.take(key)
        if not isinstance(value, list) or len(value) != count or not all(_is_number(v) and 0 <= v <= 1 for v in value):
            raise self.refuse(key, f"a list of {count} numbers in 0..1", value)
        return tuple(float(v) for v in value)

    def has(self, key: str) -> bool:
        """Whether a key that may be left out is there, and not taken yet."""
        return key in self._left

    def keys(self) -> list[str]:
        """Name the keys not taken yet."""
        return list(self._left)

    def done(self) -> None:
        """Refuse keys that nobody took: a misspelt key must not pass for a default."""
        if self._left:
            raise ModelError(f"{self.where}: unknown key {self._path}{next(iter(self._left))}")


def read_shape(section: Section) -> tuple[int, ...]:
    """Take the network's input: {"shape": [1, ...], "dtype": "float32"}."""
    section.text("dtype", choices=("float32",))
    shape = section.take("shape")
    sizes = isinstance(shape, list) and all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in shape)
    if not sizes or len(shape) < 2 or shape[0] != 1:
        raise section.refuse("shape", "a list of sizes that begins with 1", shape)
    section.done()
    return tuple(shape)


def read_variant(kind: str, section: Section) -> Variant:
    """Take one variant."""
    variant = Variant(
        kind=kind,
        file=section.text("file", pattern=FILE_NAME, hint="a file name without a folder"),
        bytes=section.whole("bytes", 1),
        sha256=section.text("sha256", pattern=SHA256, hint="64 hexadecimal digits"),
        input=_read_tensor_type(section.section("input")),
        output=_read_tensor_type(section.section("output")),
        accuracy=section.number("accuracy"),
        agreement=section.number("agreement"),
    )
    section.done()
    return variant


def read_training_data(section: Section) -> TrainingData:
    """Take one corpus."""
    data = TrainingData(section.text("name"), section.text("licence"), section.text("use"))
    section.done()
    return data


def read_metrics(section: Section) -> Metrics:
    """Take one line of metrics."""
    metrics = Metrics(
        split=section.text("split"),
        samples=section.whole("samples", 1),
        variant=section.text("variant", choices=KINDS),
        accuracy=section.number("accuracy"),
        macro_f1=section.number("macro_f1"),
        uar=section.number("uar"),
        ece=section.number("ece"),
    )
    section.done()
    return metrics


def _read_tensor_type(section: Section) -> TensorType:
    dtype = section.text("dtype", choices=("float32", "int8"))
    if dtype == "float32":
        section.done()
        return TensorType(dtype, 0.0, 0)
    kind = TensorType(dtype, section.number("scale", 1e-12, 1e6), section.whole("zero_point", -128, 127))
    section.done()
    return kind


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -math.inf < value < math.inf


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
