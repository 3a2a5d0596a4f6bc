"""What is trained in which order, how many epochs of it fit into the minutes there are, and what a GPU would take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from affectd.events import LABELS
from affectd_convert.architectures import vgg16
from affectd_convert.errors import TrainingError
from affectd_convert.training.plan import Stage

WIDTHS = {"vgg16": vgg16.FULL, "vgg16-slim": vgg16.SLIM, "vgg16-fast": vgg16.FAST}
"""The networks that can be trained so, by their names in the catalogue."""
DROPOUT = {"vgg16": 0.4, "vgg16-slim": 0.4, "vgg16-fast": 0.2}
TAUGHT_BY_ALL = "taught"
"""The last course, and its file."""
SIDE = 48
GROWTH = ((24, 0.19), (32, 0.19), (40, 0.46), (48, 0.16))
"""Side of the pictures and its share of the epochs, as `train face` has them (Touvron et al. 2019)."""
PEAK_FLOPS = 990e12
"""Dense bfloat16 operations a second of an NVIDIA H200, by its datasheet."""
ATTAINED = 0.22
"""Share of the peak that convolutions of 48x48 pictures are taken to reach."""
PASSES = 3
"""A step of training takes the multiplications of three forward passes: forward, and both gradients."""
SPARED = 0.08
"""Share of the minutes for the start, the measuring and the writing of what was learnt."""


@dataclass(frozen=True, kw_only=True)
class Course:
    """Networks that learn side by side from the same views of the faces."""

    name: str
    networks: tuple[str, ...]
    seed: int
    teachers: tuple[str, ...] = ()
    """Networks of the courses before, whose mean answer is learnt, too."""


@dataclass(frozen=True)
class Rates:
    """Seconds that one face of 48x48 takes, by network."""

    train: dict[str, float]
    """A step of learning."""
    answer: dict[str, float]
    """A forward pass."""
    view: float
    """Its augmentation."""

    def epoch_s(self, course: Course, faces: int, epochs: int) -> float:
        """Return the mean seconds of an epoch of `course` over so many epochs."""
        networks = sum(self.train[name] for name in course.networks) + sum(
            self.answer[name] for name in course.teachers
        )
        return faces * (networks + self.view) * mean_area(stages_of(epochs))


def courses_of(networks: Sequence[str], ensemble: Sequence[str], seeds: int) -> tuple[Course, ...]:
    """Return one course for each network and seed of the ensemble, and the last one, which all of them teach."""
    members = [(name, seed) for seed in range(1, seeds + 1) for name in ensemble]
    return (
        *(Course(name=f"{name}-seed{seed}", networks=(name,), seed=seed) for name, seed in members),
        Course(
            name=TAUGHT_BY_ALL, networks=tuple(networks), seed=seeds + 1, teachers=tuple(name for name, _ in members)
        ),
    )


def stages_of(epochs: int) -> tuple[Stage, ...]:
    """Return how the pictures grow over so many epochs."""
    stages, begun, share = [], 0, 0.0
    for size, part in GROWTH:
        share += part
        until = round(epochs * share)
        if until > begun:
            stages.append(Stage(epochs=until - begun, size=size))
        begun = max(begun, until)
    return tuple(stages)


def size_at(progress: float) -> int:
    """Return the side of the pictures at `progress` 0..1 of a course."""
    share = 0.0
    for size, part in GROWTH:
        share += part
        if progress < share:
            return size
    return SIDE


def mean_area(stages: Sequence[Stage]) -> float:
    """Return the mean area of a course's pictures, of that of 48x48: what their convolutions cost."""
    return sum(stage.epochs * (stage.size / SIDE) ** 2 for stage in stages) / sum(stage.epochs for stage in stages)


def fitting(wanted: int, to_come: Sequence[Course], rates: Rates, faces: int, left_s: float) -> int:
    """Return the epochs of each of the courses `to_come`, as many as `wanted` or as fit into `left_s`.

    Raises TrainingError when not even one fits.
    """
    seconds = [wanted * rates.epoch_s(course, faces, wanted) for course in to_come]
    epochs = int(wanted * min(1.0, max(left_s, 0.0) / sum(seconds)))
    if not epochs:
        raise TrainingError(
            f"{max(left_s, 0):.0f} s are too few: an epoch of every course takes {sum(seconds) / wanted:.1f} s "
            "here; give more --minutes, or fewer --networks or --seeds"
        )
    return epochs


def macs(name: str) -> int:
    """Return the multiplications of a forward pass of the network for one face of 48x48."""
    widths, side, channels, total = WIDTHS[name], SIDE, 1, 0
    for filters, convolutions in zip(widths.blocks, vgg16.CONVOLUTIONS, strict=True):
        for _ in range(convolutions):
            total += 9 * channels * filters * side**2
            channels = filters
        side = -(-side // 2)
    return total + channels * widths.dense + widths.dense**2 + widths.dense * len(LABELS)


def parameters(name: str) -> int:
    """Count the weights of the network, batch normalization's statistics among them."""
    widths, channels, total = WIDTHS[name], 1, 0
    for filters, convolutions in zip(widths.blocks, vgg16.CONVOLUTIONS, strict=True):
        for _ in range(convolutions):
            total += 9 * channels * filters + 4 * filters
            channels = filters
    return total + (channels + 1) * widths.dense + (widths.dense + 1) * (widths.dense + len(LABELS))


def needed_bytes(courses: Sequence[Course]) -> int:
    """Return what the files of the courses take at most: all that was learnt, and two checkpoints of the largest."""
    learnt = [sum(map(parameters, course.networks)) for course in courses]
    return 2 * sum(learnt) + 2 * 3 * 4 * max(learnt)


def estimate(courses: Sequence[Course], faces: int, epochs: int) -> list[str]:
    """Return, as lines, how long the courses would take on one NVIDIA H200, and how that is reckoned."""
    area = mean_area(stages_of(epochs))
    rate = PEAK_FLOPS * ATTAINED
    lines = [
        "seconds = faces x epochs x area x 2 x (3 x MAC of the learners + MAC of the teachers) / (peak x attained)",
        f"peak x attained = {PEAK_FLOPS / 1e12:.0f} TFLOP/s (dense bfloat16, datasheet) x {ATTAINED:.0%} (assumed); "
        f"area = {area:.2f}, the mean of growing pictures over 48x48",
    ]
    total = 0.0
    for course in courses:
        learnt, asked = sum(map(macs, course.networks)), sum(map(macs, course.teachers))
        seconds = faces * epochs * area * 2 * (PASSES * learnt + asked) / rate
        total += seconds
        lines.append(
            f"{course.name}: {faces} x {epochs} x {area:.2f} x 2 x (3 x {learnt / 1e9:.3f} + {asked / 1e9:.3f}) GMAC: "
            f"{seconds:.0f} s"
        )
    whole = faces * epochs * 2 * PASSES * macs("vgg16") / rate
    lines.append(f"together {total / 60:.1f} min; {epochs} epochs of vgg16 alone, all at 48x48: {whole:.0f} s")
    return lines
