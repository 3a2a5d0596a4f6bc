"""Golden samples: held-out inputs with the float parent's logits, which every box checks a model with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from affectd.inference.golden import pack_inputs, unpack_inputs
from affectd_convert.conversion.float_model import parent_logits

FloatArray = NDArray[np.float32]

GOLDEN_BYTES = 400_000
GOLDEN_SAMPLES = 128
"""At most; fewer where GOLDEN_BYTES of int8 inputs hold fewer."""
NEAR_TIES = 0.1
"""Share of samples, those of which the float parent is least sure, that are no golden ones."""


def write_golden(path: Path, inputs: FloatArray, parent: FloatArray, model: Path) -> None:
    """Write golden samples out of held-out inputs: first, of each label, the one the parent is surest of.

    The rest are drawn at random, near ties left out: they say little about a runtime. `parent` are its
    logits for `inputs`; those stored belong to the inputs as they are stored, rounded to int8 with one scale.
    """
    count = min(GOLDEN_SAMPLES, max(16, GOLDEN_BYTES // inputs[0].size), len(inputs))
    best = np.sort(parent, axis=1)
    margin, answer = best[:, -1] - best[:, -2], parent.argmax(axis=1)
    surest = [int(np.where(answer == label, margin, -1.0).argmax()) for label in np.unique(answer)]
    clear = margin >= np.quantile(margin, NEAR_TIES)
    others = [int(i) for i in np.random.default_rng(0).permutation(len(inputs)) if clear[i] and i not in set(surest)]
    stored, scale = pack_inputs(inputs[[*surest, *others][:count]])
    logits = parent_logits(model, unpack_inputs(stored, scale))
    np.savez_compressed(path, inputs=stored, scale=scale, logits=logits)
