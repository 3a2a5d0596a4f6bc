"""How face and voice become one distribution: one function per strategy, all over two opinions.

An opinion of weight 0 is a missing modality; the same formulas handle it. Every strategy gives
None when no modality it listens to has anything to say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from affectd.events import LABELS, Agreement, Strategy

Vector = NDArray[np.float64]

UNIFORM: Vector = np.full(len(LABELS), 1.0 / len(LABELS))
FLOOR = 1e-3
"""Smallest probability in a product. An int8 softmax cannot tell anything below 1/256 from 0, so its
zeros must not veto what the other modality, or the next moment, says."""

ENOUGH_QUALITY = 0.25
"""From this quality on a reading counts in full: of PublicTest's faces below it, clear, blurred by 2 pixels of 48,
masked or behind dark glasses, the network tells 40 to 54 %, of the others 57 to 71 %."""


@dataclass(frozen=True, slots=True, eq=False)
class Opinion:
    """What one modality says."""

    probabilities: Vector
    """(7,) in the order of LABELS, sums to 1; tempered by the quality of what was read."""
    weight: float
    """0..1 beside the other modality, by age and by how many it may be of; 0: the modality is missing."""
    skill: Vector
    """(7,) how well the modality tells each class, above 0 to 1 (recall or F1 on held-out people)."""
    share: float
    """Its fixed weight in `weighted_average`, 0..1."""
    captured_at: float

    @property
    def label(self) -> int:
        """Index of the emotion it names."""
        return int(np.argmax(self.probabilities))


@dataclass(frozen=True, slots=True, eq=False)
class Fused:
    """What a strategy makes of the opinions it listened to."""

    probabilities: Vector
    """(7,) in the order of LABELS, sums to 1."""
    captured_at: float
    """The newest of those opinions."""
    withheld: bool = False
    """The strategy refuses to name an emotion now."""


def weighted_average(face: Opinion, voice: Opinion) -> Fused | None:
    """Average with fixed weights, p = a p_face + (1 - a) p_voice (Das & Khokher)."""
    shares = [opinion.share if opinion.weight > 0 else 0.0 for opinion in (face, voice)]
    total = sum(shares)
    if total == 0:
        return None
    mean = (shares[0] * face.probabilities + shares[1] * voice.probabilities) / total
    return _fused(mean, *(o for o, share in zip((face, voice), shares, strict=True) if share > 0))


def hybrid(face: Opinion, voice: Opinion) -> Fused | None:
    """Name an emotion only where both name the same (Khachatryan & Tovmasyan).

    When they disagree no emotion is named, and the mean of both shows what each holds for true. A
    modality that is alone is believed.
    """
    speaking = [opinion for opinion in (face, voice) if opinion.weight > 0]
    if not speaking:
        return None
    mean = np.mean([opinion.probabilities for opinion in speaking], axis=0)
    return _fused(mean, *speaking, withheld=agreement(face, voice) == "disagree")


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
    """
    speaking = [opinion for opinion in (face, voice) if opinion.weight > 0]
    if not speaking:
        return None
    worth = np.stack([opinion.weight * opinion.skill for opinion in speaking])
    evidence = np.log(np.stack([floored(opinion.probabilities) for opinion in speaking]) / UNIFORM)
    return _fused(softmax((worth / worth.max(axis=0) * evidence).sum(axis=0)), *speaking)


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
    """Return whether both name the same emotion."""
    if face.weight > 0 and voice.weight > 0:
        return "agree" if face.label == voice.label else "disagree"
    return "single" if face.weight > 0 or voice.weight > 0 else "none"


def tempered(probabilities: Vector, quality: float) -> Vector:
    """Raise (7,) to the power of their reliability, min(1, quality / ENOUGH_QUALITY), and renormalise.

    A tempered likelihood, as in power priors (Ibrahim & Chen 2000, "Power prior distributions for regression
    models"): what is read of next to nothing tells next to nothing, though nothing else speaks.
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
    return Fused(probabilities, max(opinion.captured_at for opinion in used), withheld)
