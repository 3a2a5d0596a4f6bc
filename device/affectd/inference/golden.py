"""Golden samples: inputs with the float parent's logits, and how near a variant must come to them.

Every variant is checked against them on every runtime and delegate when it is opened, because some
converter, runtime and delegate pairs answer wrongly without an error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from affectd.errors import ModelError

FloatArray = NDArray[np.float32]

SIGNIFICANCE = 0.05
"""Of the test whether a bar of agreement is missed."""


@dataclass(frozen=True, slots=True)
class Bar:
    """How near a kind of variant must come to its float parent."""

    agreement: float
    """Least share of samples with the same first answer."""
    error: float
    """Largest mean absolute error of a logit, as a share of the parent's logits' standard deviation."""


BARS = {
    "float32": Bar(0.995, 0.01),
    "float16": Bar(0.995, 0.02),
    "dynamic": Bar(0.98, 0.15),
    "int8": Bar(0.98, 0.15),
}


@dataclass(frozen=True, slots=True)
class Parity:
    """A variant's logits against its float parent's on the same inputs."""

    samples: int
    agreement: float
    """Share of samples with the same first answer, 0..1."""
    mean_error: float
    """Mean absolute difference of a logit."""
    max_error: float
    spread: float
    """Standard deviation of the parent's logits: what the errors are to be held against."""

    @classmethod
    def of(cls, logits: FloatArray, parent: FloatArray) -> Parity:
        """Compare logits (n, outputs) with the parent's (n, outputs)."""
        error = np.abs(logits.astype(np.float64) - parent)
        return cls(
            samples=len(parent),
            agreement=float(np.mean(logits.argmax(axis=1) == parent.argmax(axis=1))),
            mean_error=float(error.mean()),
            max_error=float(error.max()),
            spread=float(parent.std(dtype=np.float64)),
        )

    def shortfall(self, kind: str) -> str:
        """Describe in words which bar of `kind` is missed; empty when none is.

        Samples are a draw: the bar of agreement is missed where so many differ that a variant which reaches it would
        show as many in less than 5 % of such draws (a one-sided binomial test).
        """
        bar = BARS[kind]
        differ, allowed = round((1 - self.agreement) * self.samples), most_misses(self.samples, bar.agreement)
        if differ > allowed:
            return (
                f"{differ} of {self.samples} first answers differ from the float parent's, where {allowed} may by "
                f"chance at {bar.agreement:.1%}"
            )
        # Written so that NaN fails.
        if not self.mean_error <= bar.error * self.spread:
            return f"mean logit error is {self.mean_error:.3g}, at most {bar.error * self.spread:.3g} is allowed"
        return ""


def most_misses(samples: int, agreement: float) -> int:
    """Return the most of `samples` that differ in more than 5 % of draws from what agrees on the share `agreement`."""
    miss, reached = 1 - agreement, 1.0
    logarithm = samples * math.log1p(-miss)
    for misses in range(samples):
        # The probability of this many, in logarithms: of none among very many it is below what a float holds.
        reached -= math.exp(logarithm)
        if reached < SIGNIFICANCE:
            return misses
        logarithm += math.log((samples - misses) / (misses + 1) * miss / (1 - miss))
    return samples


@dataclass(frozen=True, slots=True, eq=False)
class Golden:
    """Held-out inputs as the network sees them, and what the float parent answers.

    The first samples are one of each label that the parent is sure of: the few that are run when a
    model is opened. `affectd-convert verify` runs all.
    """

    inputs: FloatArray
    """(n, *input) float32."""
    logits: FloatArray
    """(n, outputs) float32."""

    @classmethod
    def load(cls, path: Path, *, input_shape: tuple[int, ...], outputs: int) -> Golden:
        """Read an .npz of `inputs` int8, `scale` float32 (input = inputs * scale) and `logits` float32.

        Raises ModelError when it is none or of other shapes, MemoryError.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                stored, scale, logits = arrays["inputs"], arrays["scale"], arrays["logits"]
        except MemoryError:
            raise
        except Exception as error:  # zipfile, zlib and NumPy raise whatever they stumble over
            raise ModelError(f"{path}: not a set of golden samples ({error}); copy the bundle again") from error
        if [array.dtype.kind for array in (stored, scale, logits)] != ["i", "f", "f"] or scale.ndim:
            raise ModelError(f"{path}: not a set of golden samples (inputs, scale or logits are of another type)")
        count = len(logits) if logits.ndim else 0
        if not count or stored.shape != (count, *input_shape) or logits.shape != (count, outputs):
            raise ModelError(
                f"{path}: golden samples of shape {stored.shape} with logits {logits.shape} do not fit "
                f"input {input_shape} and {outputs} outputs of the manifest"
            )
        return cls(unpack_inputs(stored, scale), logits.astype(np.float32))


def pack_inputs(inputs: FloatArray) -> tuple[NDArray[np.int8], np.float32]:
    """Return inputs as int8 with one scale: a quarter of the bytes, and the samples stay real ones."""
    scale = np.float32(np.abs(inputs).max() / 127 or 1.0)
    return np.rint(inputs / scale).astype(np.int8), scale


def unpack_inputs(stored: NDArray[np.int8], scale: np.float32) -> FloatArray:
    """Return back the float32 inputs; the parent's logits belong to exactly these."""
    return stored.astype(np.float32) * np.float32(scale)
