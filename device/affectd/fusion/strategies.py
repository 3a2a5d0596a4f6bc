"""How face and voice become one distribution: one function per strategy, all over two opinions.

An opinion of weight 0 is a missing modality; the same formulas handle it. Every strategy returns
None when no modality that it uses has an opinion. A model may know fewer labels than the seven:
its probabilities are then of its labels alone, as if the emotion were one of them, and mean nothing for
whether it is. On the others it has no opinion, which is neither 0 % nor a word for any of them; a label
that nobody who speaks knows has 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from affectd.events import LABELS, Agreement, Strategy

Vector = NDArray[np.float64]
Mask = NDArray[np.bool_]

UNIFORM: Vector = np.full(len(LABELS), 1.0 / len(LABELS))
FLOOR = 1e-3
"""Smallest probability in a product. An int8 softmax cannot represent anything between 0 and 1/256, so its
zeros must not veto what the other modality, or the next moment, shows."""

ENOUGH_QUALITY = 0.25
"""From this quality on a reading counts in full: of PublicTest's faces below it, clear, blurred by 2 pixels of 48,
masked or behind dark glasses, the network recognizes 40 to 54 %, of the others 57 to 71 %."""


@dataclass(frozen=True, slots=True, eq=False)
class Opinion:
    """The opinion of one modality."""

    probabilities: Vector
    """(7,) in the order of LABELS, sums to 1, 0 for a label not known; tempered by the quality of what was read."""
    weight: float
    """0..1 beside the other modality, by age and by how many it may be of; 0: the modality is missing."""
    skill: Vector
    """(7,) how well the modality recognizes each class, above 0 to 1 (recall or F1 on held-out people); 0: it does not
    know that label."""
    share: float
    """Its fixed weight in `weighted_average`, 0..1."""
    captured_at: float

    @property
    def known(self) -> Mask:
        """(7,) the labels on which it has an opinion."""
        return self.skill > 0

    @property
    def label(self) -> int:
        """Index of the emotion it names."""
        return int(np.argmax(self.probabilities))

    @property
    def evidence(self) -> Vector:
        """(7,) log of how much likelier each label is made than it was among those known; 0 for one not known."""
        known, evidence = self.known, np.zeros(len(LABELS))
        evidence[known] = np.log(floored(self.probabilities[known]) * np.count_nonzero(known))
        return evidence


@dataclass(frozen=True, slots=True, eq=False)
class Fused:
    """What a strategy makes of the opinions it listened to."""

    probabilities: Vector
    """(7,) in the order of LABELS, sums to 1."""
    known: Mask
    """(7,) the labels that one of those opinions knows."""
    captured_at: float
    """The newest of those opinions."""
    withheld: bool = False
    """The strategy refuses to name an emotion now."""


def weighted_average(face: Opinion, voice: Opinion) -> Fused | None:
    """Average with fixed weights, p = a p_face + (1 - a) p_voice (Das & Khokher).

    A label is averaged over those that know it, as though the other were missing.
    """
    speaking = [opinion for opinion in (face, voice) if opinion.weight > 0 and opinion.share > 0]
    if not speaking:
        return None
    return _fused(_mean(speaking, [opinion.share for opinion in speaking]), *speaking)


def hybrid(face: Opinion, voice: Opinion) -> Fused | None:
    """Name an emotion only where both name the same (Khachatryan & Tovmasyan).

    When they disagree no emotion is named, and the mean of both shows what each holds for true. A
    modality that is alone is believed; it is alone, too, with a name that the other does not know.
    """
    agreed = agreement(face, voice)
    if agreed == "none":
        return None
    speaking = [opinion for opinion in (face, voice) if opinion.weight > 0]
    if agreed == "single" and len(speaking) > 1:
        speaking = [face if not voice.known[face.label] else voice]
    return _fused(_mean(speaking, [1.0] * len(speaking)), *speaking, withheld=agreed == "disagree")


def adaptive(face: Opinion, voice: Opinion) -> Fused | None:
    """Pool the evidence of both, each for what it is worth now and for that class (the default).

        log q(c) = sum over m of w_m(c) log(p_m(c) / u) + constant
        w_m(c)   = r_m s_m(c) / max over k of r_k s_k(c)

    with u = 1/7, weight r and per-class skill s. This is the logarithmic opinion pool with the
    prior as a further expert, whose weights need not sum to 1 (Bordley 1982, "A multiplicative formula
    for aggregating probability assessments"; Genest & Zidek 1986, "Combining probability distributions:
    a critique and an annotated bibliography"), here with weights per class. The better modality counts
    in full and the other as much as it is worth beside it: alone a modality passes
    unchanged; two equal ones give p_face p_voice / u, Bayes' rule for witnesses that err
    independently and Hinton's product of experts; one that is unsure, p = u, changes nothing, so
    weight moves with certainty. A plain weighted geometric mean would instead let a voice that knows
    nothing halve the log odds of a face that is sure. Quality is no weight here: calibrated probabilities
    flatten by themselves where a picture or a sound is poor.

    Of a model with n labels u = 1/n, and the evidence for one that it does not know is 0: what it saw is
    taken to be as likely there as among its labels on average, p(x | c) = p(x | one of the n).
    """
    speaking = [opinion for opinion in (face, voice) if opinion.weight > 0]
    if not speaking:
        return None
    worth = np.stack([opinion.weight * opinion.skill for opinion in speaking])
    evidence = np.stack([opinion.evidence for opinion in speaking])
    known, pooled = worth.max(axis=0) > 0, np.zeros(len(LABELS))
    pooled[known] = softmax((worth[:, known] / worth[:, known].max(axis=0) * evidence[:, known]).sum(axis=0))
    return _fused(pooled, *speaking)


def _mean(opinions: Sequence[Opinion], shares: Sequence[float]) -> Vector:
    """Average each label over the opinions that know it."""
    weights = np.stack([share * opinion.known for share, opinion in zip(shares, opinions, strict=True)])
    total = weights.sum(axis=0)
    summed = (weights * np.stack([opinion.probabilities for opinion in opinions])).sum(axis=0)
    mean: Vector = np.divide(summed, total, out=np.zeros(len(LABELS)), where=total > 0)
    mean /= mean.sum()
    return mean


def face_only(face: Opinion, voice: Opinion) -> Fused | None:  # noqa: ARG001 - every strategy gets both
    """Believe the face and ignore the voice."""
    return _fused(face.probabilities, face) if face.weight > 0 else None


def voice_only(face: Opinion, voice: Opinion) -> Fused | None:  # noqa: ARG001 - every strategy gets both
    """Believe the voice and ignore the face."""
    return _fused(voice.probabilities, voice) if voice.weight > 0 else None


STRATEGIES: dict[Strategy, Callable[[Opinion, Opinion], Fused | None]] = {
    "weighted_average": weighted_average,
    "hybrid": hybrid,
    "adaptive": adaptive,
    "face": face_only,
    "voice": voice_only,
}


def agreement(face: Opinion, voice: Opinion) -> Agreement:
    """Return whether both name the same emotion; one that names what the other does not know is single."""
    if face.weight > 0 and voice.weight > 0:
        if face.label == voice.label:
            return "agree"
        return "disagree" if voice.known[face.label] == face.known[voice.label] else "single"
    return "single" if face.weight > 0 or voice.weight > 0 else "none"


def tempered(probabilities: Vector, quality: float) -> Vector:
    """Raise (n,) to the power of their reliability, min(1, quality / ENOUGH_QUALITY), and renormalise.

    A tempered likelihood, as in power priors (Ibrahim & Chen 2000, "Power prior distributions for regression
    models"): a reading of next to no quality weighs next to nothing, though nothing else speaks.
    """
    if quality >= ENOUGH_QUALITY:
        return probabilities
    return softmax(max(quality, 0.0) / ENOUGH_QUALITY * np.log(floored(probabilities)))


def floored(probabilities: Vector) -> Vector:
    """Lift zeros to FLOOR and renormalise, so that a logarithm can be taken."""
    lifted: Vector = np.maximum(probabilities, FLOOR)
    lifted /= lifted.sum()
    return lifted


def softmax(logits: Vector) -> Vector:
    """Return the distribution proportional to exp(logits)."""
    powers: Vector = np.exp(logits - logits.max())
    powers /= powers.sum()
    return powers


def _fused(probabilities: Vector, *used: Opinion, withheld: bool = False) -> Fused:
    known: Mask = np.any([opinion.known for opinion in used], axis=0)
    return Fused(probabilities, known, max(opinion.captured_at for opinion in used), withheld)
