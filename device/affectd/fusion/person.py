"""One person's emotion over time: a belief fed with what is read of them, and hysteresis over it."""

from __future__ import annotations

from dataclasses import dataclass

from affectd.events import LABELS, Probabilities, TrackedFace
from affectd.fusion.hysteresis import Hysteresis
from affectd.fusion.smoothing import Belief
from affectd.fusion.strategies import Fused


@dataclass(frozen=True, slots=True, kw_only=True)
class Smoothing:
    """The settings of the fusion table that concern time."""

    enter: float
    leave: float
    dwell_s: float
    half_life_s: float
    absent_s: float


@dataclass(frozen=True, slots=True)
class Announced:
    """An emotion as it was published, and the one before it."""

    emotion: str | None = None
    person: int | None = None
    """Whose it is; None: nobody has been seen yet."""
    since: float | None = None
    """When it began; None: nothing has been published yet."""
    previous: str | None = None
    previous_held_s: float = 0.0


class PersonFilter:
    """What one person shows. Without a number it is somebody who is heard and not seen, or nobody."""

    def __init__(self, settings: Smoothing) -> None:
        """Begin without evidence. Raises ConfigError when `leave` is above `enter`."""
        self.number: int | None = None
        self.face: TrackedFace | None = None
        """As last seen."""
        self.seen_at = float("-inf")
        """When it was last seen, on the clock of captured_at."""
        self.withheld = False
        """Whether the strategy refused to name an emotion the last time."""
        self.evidence_at: float | None = None
        """Capture time of the newest evidence; None before the first."""
        self._absent_s = settings.absent_s
        self._belief = Belief(settings.half_life_s)
        self._hysteresis = Hysteresis(
            enter=settings.enter, leave=settings.leave, dwell_s=settings.dwell_s, absent_s=settings.absent_s
        )

    @property
    def emotion(self) -> str | None:
        """One of LABELS; None when nobody is there, or nothing leads clearly, or it is withheld."""
        return self._hysteresis.emotion

    @property
    def since(self) -> float | None:
        """When `emotion` began; None before the first step."""
        return self._hysteresis.since

    @property
    def probabilities(self) -> Probabilities:
        """7 values in the order of LABELS; uniform without evidence."""
        return tuple(self._belief.probabilities.tolist())

    @property
    def confidence(self) -> float:
        """Probability of `emotion`; 0 when it is None."""
        return 0.0 if self.emotion is None else self.probabilities[LABELS.index(self.emotion)]

    @property
    def told(self) -> Announced:
        """The person's own last change."""
        own = self._hysteresis
        return Announced(own.emotion, self.number, own.since, own.previous, own.previous_held_s)

    def gone(self, now: float) -> bool:
        """Whether there was evidence of the person, and has been none for `absent_s`."""
        return self.evidence_at is not None and now - self.evidence_at >= self._absent_s

    def observe(self, fused: Fused | None, now: float) -> bool:
        """Take in what is read of the person, or that nothing is; true when the emotion changed.

        Only evidence newer than the last moves the belief. Without any for `absent_s` nobody is there.
        """
        if fused is None:
            return self._absence(now)
        self.withheld = fused.withheld
        self._belief.update(fused.probabilities, fused.captured_at, fused.known)
        self.evidence_at = max(fused.captured_at, self.evidence_at or fused.captured_at)
        return self._hysteresis.observe(self._belief.probabilities, self.evidence_at, withheld=fused.withheld)

    def end(self, at: float) -> None:
        """Forget what was read: from `at` on nobody is there."""
        self.withheld = False
        self._belief.reset()
        self._hysteresis.absent(at)

    def _absence(self, now: float) -> bool:
        self.withheld = False
        if self.evidence_at is None:
            return self._hysteresis.absent(now)
        if not self.gone(now):
            return False
        self._belief.reset()
        return self._hysteresis.absent(self.evidence_at)
