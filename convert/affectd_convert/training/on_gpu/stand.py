"""What a training on a GPU was asked for, and where it stands, beside the weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from affectd_convert.errors import TrainingError
from affectd_convert.training.engine import fastest_precision
from affectd_convert.training.face_batches import FaceAugmentation
from affectd_convert.training.on_gpu import parts
from affectd_convert.training.on_gpu.schedule import Course, courses_of, needed_bytes
from affectd_convert.training.plan import Plan, Stage
from affectd_convert.training.run_config import differences

STATE = "state"
"""Parts that hold where the training stands."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What is trained, and how."""

    networks: tuple[str, ...]
    ensemble: tuple[str, ...] = ("vgg16",)
    seeds: int = 3
    epochs: int = 300
    """Of each course, where the minutes allow."""
    batch_size: int = 512
    peak_rate: float = 0.12
    mixup: float = 0.2
    minutes: float = 10.0
    command: str = ""

    def augmentation(self) -> FaceAugmentation:
        """Return what is done to training faces."""
        return FaceAugmentation(mixup=self.mixup)

    def plan(self, seed: int, stages: Sequence[Stage]) -> Plan:
        """Return how one course goes."""
        return Plan(
            stages=tuple(stages),
            engine="torch",
            batch_size=self.batch_size,
            peak_rate=self.peak_rate,
            warmup=0.05,
            precision=fastest_precision(),
            seed=seed,
        )

    def courses(self) -> tuple[Course, ...]:
        """Return what is trained, one after another."""
        return courses_of(self.networks, self.ensemble, self.seeds)

    def asked(self, faces: str) -> dict[str, Any]:
        """Return what decides the result, as JSON; `faces` names the pack."""
        named = {
            "networks": list(self.networks),
            "ensemble": list(self.ensemble),
            "augmentation": asdict(self.augmentation()),
        }
        numbers = {name: getattr(self, name) for name in ("seeds", "epochs", "batch_size", "peak_rate")}
        return {**named, **numbers, "faces": faces}


@dataclass
class Stand:
    """Where a training stands, beside the weights; kept as JSON."""

    asked: dict[str, Any]
    command: str
    finished: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By course, what its file says of it."""
    under_way: dict[str, Any] | None = None
    """Progress of the course after those."""
    log: list[str] = field(default_factory=list)


def claim(out: Path, recipe: Recipe, faces: str) -> Stand:
    """Return where the training in `out` stands, or that it begins; `faces` names the pack.

    Raises TrainingError when the folder holds another training, or its disk has not the room.
    """
    asked = recipe.asked(faces)
    if parts.is_there(out, STATE):
        stand = Stand(**parts.about(out, STATE))
        if differing := differences(stand.asked, asked):
            raise TrainingError(
                f"{out}: holds another training: {', '.join(differing[:3])}; take another folder, or remove this one"
            )
        return stand
    needed, there = needed_bytes(recipe.courses()), parts.free(out)
    if there < needed:
        raise TrainingError(
            f"{out}: {there / 1e6:.0f} MB are free on that disk, {needed / 1e6:.0f} MB are needed; make room"
        )
    return Stand(asked, recipe.command)


def go_on_from(begun: Path, out: Path) -> None:
    """Copy what another machine has left of a training to `out`, unless one stands there already.

    Raises TrainingError when there is nothing in `begun`, or it is not whole.
    """
    if parts.is_there(out, STATE):
        return
    if not parts.is_there(begun, STATE):
        raise TrainingError(f"{begun}: no {STATE}.json there; name the folder that was --out on the other machine")
    # The state last, for with it the training counts as begun.
    for name in (*(name for name in parts.names_in(begun) if name != STATE), STATE):
        parts.copy_parts(begun, out, name)
