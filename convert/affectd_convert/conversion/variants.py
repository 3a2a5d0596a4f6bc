"""The variants that a model can have: what cannot be had is left out with its reason, int8 is mended where it errs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from affectd_convert.conversion.bounded_process import Bounds
from affectd_convert.conversion.float_model import parent_logits
from affectd_convert.conversion.layer_errors import layer_errors
from affectd_convert.conversion.parity import Row, verify_variants
from affectd_convert.conversion.quantize import quantize
from affectd_convert.errors import ConversionError

FloatArray = NDArray[np.float32]

FITTED = "int8-fitted"
"""The worker's name of int8 with other ranges."""
TRIALS = 1000
"""Held-out samples, at most, on which int8 and the ways out are tried."""
WORTH_MENDING = 0.005
"""Loss of accuracy from which int8 is mended although it agrees."""
FLOAT_SHARES = (4, 2)
"""One layer of so many stays in float, those that add most error."""


@dataclass(frozen=True, slots=True)
class Variants:
    """What could be converted."""

    paths: dict[str, Path]
    """Kind to `.tflite`."""
    remarks: tuple[str, ...]
    """What was left out, what was tried so that int8 holds and what helped; a sentence each."""


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """Held-out samples that int8 is tried on."""

    inputs: FloatArray
    truth: NDArray[np.int64] | None = None
    """By the numbers of the network's outputs; None where those are not the labels: then only agreement counts."""


def make_variants(
    model: Path, samples: FloatArray, out: Path, kinds: Sequence[str], trial: Trial, *, bounds: Bounds | None = None
) -> Variants:
    """Convert `model` to each of `kinds` that it can be converted to; see that int8 holds, and mend it if it does not.

    Where int8 is left out, dynamic takes its place: its bytes, with float sums. A finished
    `.tflite` is taken as it is. Raises ConversionError when no kind can be had; see `quantize`.
    """
    if model.suffix == ".tflite":
        return Variants(quantize(model, samples, out, kinds, bounds=bounds), ())
    paths: dict[str, Path] = {}
    left_out: dict[str, str] = {}
    remarks: tuple[str, ...] = ()
    wanted = list(kinds)
    for kind in wanted:
        try:
            paths |= quantize(model, samples, out, [kind], bounds=bounds)
            if kind == "int8":
                mended, remarks = _mended(model, samples, out, paths["int8"], trial, bounds)
                paths["int8"] = mended
        except ConversionError as error:
            paths.pop(kind, None)
            left_out[kind] = str(error)
            print(f"{kind}: left out; {error}", flush=True)
            if kind == "int8" and "dynamic" not in wanted:
                wanted.append("dynamic")
    if not paths:
        # Of the kinds that were asked for: the others mostly fail by the same reason.
        raise ConversionError(left_out[kinds[0]])
    return Variants(paths, (*remarks, *(f"{kind} is left out: {reason}" for kind, reason in left_out.items())))


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One way to int8, tried."""

    way: str
    path: Path
    agreement: float
    """With the float parent, the lowest of the runtimes."""
    loss: float
    """Of accuracy against the float parent, the highest of the runtimes; 0 without truth."""
    shortfall: str

    @property
    def good(self) -> bool:
        """Return whether there is nothing to mend."""
        return not self.shortfall and self.loss <= WORTH_MENDING

    def __str__(self) -> str:
        """Describe it with its figures."""
        accuracy = f", accuracy {-100 * self.loss:+.2f} points" if self.loss else ""
        return f"{self.way}: agreement {self.agreement:.2%}{accuracy}"


def _mended(  # noqa: PLR0917
    model: Path, samples: FloatArray, out: Path, int8: Path, trial: Trial, bounds: Bounds | None
) -> tuple[Path, tuple[str, ...]]:
    """Return the int8 file to take, the first good one of all ways or else the best that holds, and what was tried.

    Raises ConversionError with the figures when no way holds.
    """
    chosen = np.sort(np.random.default_rng(0).permutation(len(trial.inputs))[:TRIALS])
    inputs, truth = trial.inputs[chosen], None if trial.truth is None else trial.truth[chosen]
    parent = parent_logits(model, inputs)

    def tried(way: str, path: Path) -> _Attempt:
        print(f"int8, {way}: comparing with the float parent on {len(inputs)} inputs ...", flush=True)
        rows = verify_variants(model.name, {"int8": path}, inputs, parent, truth)
        attempt = _attempt(way, path, rows)
        print(f"int8, {attempt}; {attempt.shortfall or 'holds'}", flush=True)
        return attempt

    attempts = [tried("ranges by the extremes", int8)]
    if attempts[0].good:
        return int8, ()
    attempts.append(tried("fitted ranges", quantize(model, samples, out, [FITTED], bounds=bounds)[FITTED]))
    if not attempts[-1].good:
        reference = quantize(model, samples, out, ["float32"], bounds=bounds)["float32"]
        layers = layer_errors(reference, attempts[-1].path, samples)
        for share in FLOAT_SHARES:
            names = [layer.name for layer in layers[: -(-len(layers) // share)]]
            folder = out / f"float-{share}"
            path = quantize(model, samples, folder, [FITTED], bounds=bounds, floating=names)[FITTED]
            attempts.append(tried(f"fitted ranges, {len(names)} of {len(layers)} layers in float", path))
            if attempts[-1].good:
                break
    return _best(attempts)


def _attempt(way: str, path: Path, rows: Sequence[Row]) -> _Attempt:
    return _Attempt(
        way,
        path,
        min(row.parity.agreement for row in rows),
        max((row.lost - row.won) / row.parity.samples for row in rows),
        next((row.shortfall for row in rows if row.shortfall), ""),
    )


def _best(attempts: Sequence[_Attempt]) -> tuple[Path, tuple[str, ...]]:
    figures = "; ".join(map(str, attempts))
    holding = [attempt for attempt in attempts if not attempt.shortfall]
    if not holding:
        raise ConversionError(f"int8 misses its bar whatever was tried ({attempts[0].shortfall}). {figures}")
    best = min(holding, key=lambda attempt: (not attempt.good, attempt.loss, -attempt.agreement))
    helped = f"int8 was mended: {best.way}" if best is not attempts[0] else "no way was better than the plain int8"
    return best.path, (f"{helped}. Tried on held-out samples: {figures}.",)
