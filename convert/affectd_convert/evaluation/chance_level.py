"""Whether a model has learned anything: it is better than always the same label, and gives every label."""

from __future__ import annotations

from math import sqrt

import numpy as np

from affectd_convert.evaluation.metrics import Evaluation, wilson_interval

_Z_ONE_SIDED_95 = 1.645


def shortcomings(evaluation: Evaluation) -> tuple[str, ...]:
    """Return why a model is not fit for release, a clause each; none of one that has learned its labels."""
    return tuple(clause for clause in (_no_better_than_one_label(evaluation), _never_given(evaluation)) if clause)


def _no_better_than_one_label(evaluation: Evaluation) -> str:
    """Compare the accuracy's lower bound with the share of the commonest label.

    Where most samples are of one label, a good model that was trained on all labels alike may stay below that share:
    it passes when its mean recall is surely above that of always the same label.
    """
    counts = evaluation.confusion.sum(axis=1)
    low, high = wilson_interval(int(np.trace(evaluation.confusion)), evaluation.samples)
    commonest, share = evaluation.labels[counts.argmax()], counts.max() / evaluation.samples
    if low > share or _least_uar(evaluation) > 1 / np.count_nonzero(counts):
        return ""
    return (
        f"it is no better than always {commonest}: of {evaluation.samples} samples it has {evaluation.accuracy:.1%} "
        f"right (95 % interval {low:.1%} to {high:.1%}), and {share:.1%} are {commonest}"
    )


def _least_uar(evaluation: Evaluation) -> float:
    """Return the lower 95 % bound of the mean recall; two hits and two misses more keep a recall's variance above 0."""
    counts = evaluation.confusion.sum(axis=1)
    seen = counts > 0
    recall = (evaluation.confusion.diagonal()[seen] + 2) / (counts[seen] + 4)
    deviation = sqrt(np.sum(recall * (1 - recall) / counts[seen])) / np.count_nonzero(seen)
    return evaluation.uar - _Z_ONE_SIDED_95 * deviation


def _never_given(evaluation: Evaluation) -> str:
    counts, given = evaluation.confusion.sum(axis=1), evaluation.confusion.sum(axis=0)
    never = [
        f"{label} ({n} samples)" for label, n, m in zip(evaluation.labels, counts, given, strict=True) if n and not m
    ]
    return f"it never gives {', '.join(never)}" if never else ""
