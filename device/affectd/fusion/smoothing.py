"""Belief over time: a forward filter whose memory fades with a half-life, whatever the rate of readings."""

from __future__ import annotations

import numpy as np

from affectd.fusion.strategies import UNIFORM, Mask, Vector, floored

EVERY_LABEL: Mask = np.ones(len(UNIFORM), np.bool_)


class Belief:
    """The posterior of the readings so far.

    One step of a forward filter predicts, then updates. Here the prediction is exponential forgetting,
    the sticky transition "the emotion persists with probability a" in geometric form (Kulhavy & Zarrop
    1993, "On a general concept of forgetting"), and each reading enters with exactly the weight that was
    forgotten, in proportion to the time it stands for:

        a_k      = 2 ** (-(t_k - t_{k-1}) / half_life)
        log b_k  = (a_k W_{k-1} log b_{k-1} + (1 - a_k) log p_k) / W_k + constant
        W_k      = a_k W_{k-1} + (1 - a_k)

    So b is the geometric mean of the readings, weighted by time and by age. A textbook filter multiplies
    a full likelihood in at every step, as if readings 100 ms apart erred independently, and so becomes
    certain of anything repeated; this one converges to p when every reading is p. Cutting an interval
    into more readings of the same p changes nothing, and a reading seen twice counts once. There is no
    prior: the first reading is the belief until there is a second.

    A label that a reading does not know keeps a W of its own, W(c), which that reading only lets fade: its
    mean is over the readings that know it, and counts in proportion to their share,

        b_k(c) = W_k(c) exp(mean log p(c)) + constant factor

    so that a model with few labels does not speak against the others, and one that is not spoken of any
    more is forgotten with the same half-life.
    """

    def __init__(self, half_life_s: float) -> None:
        self._half_life_s = half_life_s
        self._told: Vector | None = None
        """The probabilities, once they were computed."""
        self.reset()

    @property
    def probabilities(self) -> Vector:
        """(7,) in the order of LABELS, sums to 1; uniform before the first reading."""
        if self._told is None:
            powers: Vector = self._share * np.exp(self._log - self._log.max(where=self._share > 0, initial=-np.inf))
            powers /= powers.sum()
            self._told = powers
        return self._told

    def reset(self) -> None:
        """Forget everything: somebody else is there, or nobody."""
        self._log: Vector = np.log(UNIFORM)
        """(7,) mean logarithm of the readings that know the label."""
        self._weight: Vector = np.zeros(len(UNIFORM))
        """(7,) W."""
        self._share: Vector = np.ones(len(UNIFORM))
        """(7,) of the readings that know the label, beside the label known best."""
        self._at: float | None = None
        self._told = None

    def update(self, probabilities: Vector, captured_at: float, known: Mask = EVERY_LABEL) -> None:
        """Take in the probabilities of `captured_at`, (7,) of the labels `known`; the same moment adds nothing."""
        log_reading = np.zeros(len(UNIFORM))
        log_reading[known] = np.log(floored(probabilities[known]))
        if self._at is None:
            self._told = None
            self._log, self._share, self._at = log_reading, known.astype(np.float64), captured_at
            return
        elapsed = captured_at - self._at
        if elapsed <= 0:
            return
        self._at, self._told = captured_at, None
        kept = 2.0 ** (-elapsed / self._half_life_s)
        old, new = kept * self._weight, (1.0 - kept) * known
        self._weight = old + new
        summed = old * self._log + new * log_reading
        self._log = np.divide(summed, self._weight, out=np.zeros(len(UNIFORM)), where=self._weight > 0)
        self._share = self._weight / self._weight.max()
