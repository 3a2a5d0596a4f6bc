"""Parity: every variant against its float parent, on every TFLite runtime there is.

Needs no TensorFlow for bundles: their golden samples hold the parent's logits.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from affectd.errors import ModelError
from affectd.inference.bundle import Bundle
from affectd.inference.golden import Parity
from affectd.inference.interpreter import installed_runtimes
from affectd_convert.conversion.tflite_logits import device_logits
from affectd_convert.datasets.labelled import FOLDS

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Row:
    """One variant on one runtime."""

    model: str
    kind: str
    runtime: str
    parity: Parity
    accuracy: float | None
    """Share of labelled samples classified right; None without labels."""
    lost: int = 0
    """Labelled samples that the float parent has right and this has wrong."""
    won: int = 0
    """The other way round."""

    @property
    def shortfall(self) -> str:
        """Which bar is missed, in words; empty when none is."""
        return self.parity.shortfall(self.kind)


def verify_variants(
    model: str,
    variants: Mapping[str, Path],
    inputs: FloatArray,
    parent: FloatArray,
    truth: NDArray[np.int64] | None = None,
) -> list[Row]:
    """Run variants (kind to `.tflite`) on held-out inputs (n, ...); compare with the parent's logits (n, labels).

    `truth` (n,) are label numbers, for the accuracy. Raises ConversionError when a runtime
    refuses a file, ModelError when none is installed.
    """
    runtimes = installed_runtimes()
    if not runtimes:
        raise ModelError(
            f"no TFLite runtime is installed; install one ({sys.executable} -m pip install ai-edge-litert)"
        )
    rows = []
    for kind, path in variants.items():
        for runtime, version in runtimes.items():
            logits = device_logits(path, inputs, runtime=runtime)
            rows.append(_row(model, kind, version, logits, parent, truth))
    return rows


def _row(  # noqa: PLR0917
    model: str, kind: str, runtime: str, logits: FloatArray, parent: FloatArray, truth: NDArray[np.int64] | None
) -> Row:
    parity = Parity.of(logits, parent)
    if truth is None:
        return Row(model, kind, runtime, parity, None)
    right, before = logits.argmax(axis=1) == truth, parent.argmax(axis=1) == truth
    lost, won = int(np.sum(before & ~right)), int(np.sum(right & ~before))
    return Row(model, kind, runtime, parity, float(np.mean(right)), lost, won)


def verify_bundles(folders: Sequence[Path]) -> list[Row]:
    """Check bundles' files and run every variant on all golden samples, those of the folds in a bundle too.

    Raises ModelError on a folder that is no bundle or a broken one.
    """
    # All of them before the first is run: what is mistyped shows at once.
    bundles = [named for folder in folders for named in _with_folds(folder)]
    rows = []
    for name, bundle in bundles:
        golden = bundle.golden()
        variants = {kind: bundle.model_file(kind) for kind in bundle.variants}
        rows += verify_variants(name, variants, golden.inputs, golden.logits)
    return rows


def _with_folds(folder: Path) -> list[tuple[str, Bundle]]:
    """Load a bundle and those of its folds, each with what its rows are called."""
    bundle = Bundle.load(folder)
    folds = [fold for fold in sorted((folder / FOLDS).glob("*")) if fold.is_dir()]
    return [(bundle.name, bundle), *((f"{bundle.name}/{fold.name}", Bundle.load(fold)) for fold in folds)]


def print_table(rows: Sequence[Row]) -> None:
    """Print one line a row; a missed bar is said at its end."""
    head = f"{'model':<24}{'variant':<9}{'runtime':<24}{'samples':>7}{'agree':>9}"
    print(head + f"{'mean err':>10}{'max err':>10}{'accuracy':>10}")
    for row in rows:
        parity = row.parity
        accuracy = "-" if row.accuracy is None else f"{row.accuracy:.2%}"
        print(
            f"{row.model:<24}{row.kind:<9}{row.runtime:<24}{parity.samples:>7}{parity.agreement:>9.2%}"
            f"{parity.mean_error:>10.4f}{parity.max_error:>10.4f}{accuracy:>10}  {row.shortfall or 'ok'}"
        )


def passed(rows: Sequence[Row]) -> bool:
    """Return whether every variant reached its bars on every runtime."""
    return bool(rows) and not any(row.shortfall for row in rows)
