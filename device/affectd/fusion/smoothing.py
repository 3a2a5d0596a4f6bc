"""Belief over time: a forward filter whose memory fades with a half-life, whatever the rate of readings."""

from __future__ import annotations

import numpy as np

from affectd.fusion.strategies import UNIFORM, Vector, floored, softmax


class Belief:
    """What the readings so far say together about the present.

    One step of a forward filter predicts, then updates. Here the prediction is exponential forgetting,
    the sticky transition "the emotion persists with probability a" in geometric form (Kulhavy & Zarrop
    1993, "On a general concept of forgetting"), and each reading enters with exactly the weight that was
    forgotten, in proportion to the time it stands for:

        a_k      = 2 ** (-(t_k - t_{k-1}) / half_life)
        log b_k  = (a_k W_{k-1} log b_{k-1} + (1 - a_k) log p_k) / W_k + constant
        W_k      = a_k W_{k-1} + (1 - a_k)

    So b is the geometric mean of the readings, weighted by time and by age. A textbook filter multiplies
    a full likelihood in at every step, as if readings 100 ms apart erred independently, and so becomes
    certain of anything repeated; this one converges to p when every reading says p. Cutting an interval
    into more readings of the same p changes nothing, and a reading seen twice counts once. There is no
    prior: the first reading is the belief until there is a second.
    """

    def __init__(self, half_life_s: float) -> None:
        self._half_life_s = half_life_s
        self._log: Vector = np.log(UNIFORM)
        self._weight = 0.0
        self._at: float | None = None

    @property
    def probabilities(self) -> Vector:
        """(7,) in the order of LABELS, sums to 1; uniform before the first reading."""
        return softmax(self._log)

    def reset(self) -> None:
        """Forget everything: somebody else is there, or nobody."""
        self._log = np.log(UNIFORM)
        self._weight = 0.0
        self._at = None

    def update(self, probabilities: Vector, captured_at: float) -> None:
        """Take in what is said at `captured_at` (7 values); the same moment again adds nothing."""
        log_reading = np.log(floored(probabilities))
        if self._at is None:
            self._log, self._at = log_reading, captured_at
            return
        elapsed = captured_at - self._at
        if elapsed <= 0:
            return
        self._at = captured_at
        kept = 2.0 ** (-elapsed / self._half_life_s)
        old, new = kept * self._weight, 1.0 - kept
        self._weight = old + new
        self._log = (old * self._log + new * log_reading) / self._weight
