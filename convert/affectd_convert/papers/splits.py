"""Which samples train and which test: at random, as the papers split, and with speakers or pictures kept apart."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from affectd_convert.datasets import speech
from affectd_convert.errors import DataError

Rows = NDArray[np.int64]
RAVDESS_FOLD = 3
"""Of the published subject-wise folds, the one that tests."""


@dataclass(frozen=True, eq=False)
class Split:
    """Row numbers of one data set; no row is on both sides, some may be on neither."""

    train: Rows
    test: Rows

    def leak(self, groups: Sequence[Hashable]) -> float:
        """Return the share of test rows whose group (a speaker, a picture; one a row) is trained on too, 0..1."""
        trained = {groups[row] for row in self.train}
        return float(np.mean([groups[row] in trained for row in self.test]))


def at_random(count: int, *, train: float, test: float, seed: int) -> Split:
    """Draw these shares of `count` rows for training and for the test; the rest, if any, stays unused."""
    order = np.random.default_rng(seed).permutation(count)
    trained, tested = round(count * train), round(count * test)
    return Split(np.sort(order[:trained]), np.sort(order[count - tested :]))


def speakers_apart(clips: Sequence[speech.Utterance]) -> Split:
    """Test on one published fold of RAVDESS's actors and on the last speaker of every other corpus.

    Raises DataError when a corpus has no other speaker left to train on.
    """
    last = {clip.corpus: max(c.speaker for c in clips if c.corpus == clip.corpus) for clip in clips}
    held = np.array(
        [
            speech.fold_of(clip) == RAVDESS_FOLD if clip.corpus == "ravdess" else clip.speaker == last[clip.corpus]
            for clip in clips
        ]
    )
    for corpus in last:
        mine = held[[clip.corpus == corpus for clip in clips]]
        if mine.all() or not mine.any():
            raise DataError(f"{corpus}: needs speakers on both sides of the split; is the copy complete?")
    return Split(np.flatnonzero(~held), np.flatnonzero(held))
