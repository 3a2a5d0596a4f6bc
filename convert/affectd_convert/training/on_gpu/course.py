"""One course on the GPU: networks side by side learn from the same views of the faces, taught by others or not."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from affectd.events import LABELS
from affectd.face.preprocess import FacePreprocessing
from affectd_convert.errors import TrainingError
from affectd_convert.training import face_batches
from affectd_convert.training.face_batches import FaceAugmentation, PreparedFaces, soft_targets
from affectd_convert.training.loop import scores
from affectd_convert.training.on_gpu.augment import mixed, view
from affectd_convert.training.on_gpu.networks import Learner, logits_of
from affectd_convert.training.on_gpu.pack import Pack
from affectd_convert.training.on_gpu.schedule import Course, size_at
from affectd_convert.training.plan import Plan
from affectd_convert.training.run_folder import Row
from affectd_convert.training.teachers import TAUGHT

VALIDATIONS = 30
"""Rows of a whole course's history, about."""
_ANSWERED_AT_ONCE = 1024


@dataclass
class Progress:
    """Where a course stands; kept as JSON."""

    epochs: int
    """Planned."""
    done: int = 0
    part: float = 0.0
    """Of the course, 0..1; ahead of `done` over `epochs` where time ran short."""
    sizes: list[int] = field(default_factory=list)
    """Side of the pictures in each epoch done."""
    rows: dict[str, list[Row]] = field(default_factory=dict)
    """Of history.csv, by network; an epoch that was not validated has none."""


class Faces:
    """All faces of a pack on the device, and how they are shown."""

    def __init__(
        self, pack: Pack, preprocessing: FacePreprocessing, how: FaceAugmentation, device: torch.device
    ) -> None:
        self.training, self.preprocessing, self.how, self.device = pack.training, preprocessing, how, device
        self.pixels = torch.from_numpy(pack.training.pixels).to(device)
        held = PreparedFaces.of(pack.validation, preprocessing)
        self._held, self._held_targets = self._pictures(held.inputs), held.targets

    def rows_of_epoch(self, seed: int, epoch: int) -> NDArray[np.int64]:
        """Return the rows of an epoch's faces in random order, those of rare labels more than once."""
        return face_batches.drawn_rows(self.training.label, self.how.rarest, np.random.default_rng((seed, epoch)))

    def targets(self, progress: float) -> torch.Tensor:
        """Return what each training face should be answered with, (n, 7), at 0..1 of a course."""
        every = np.arange(len(self.training.label))
        targets = soft_targets(self.training, every, self.how.votes * (1 - progress))
        smooth = (1 - self.how.smoothing) * targets + np.float32(self.how.smoothing / len(LABELS))
        return torch.from_numpy(smooth).to(self.device)

    def originals(self) -> Iterator[torch.Tensor]:
        """Return training faces as the daemon sees them, in batches."""
        for inputs in face_batches.originals(self.training, self.preprocessing):
            yield self._pictures(inputs)

    def validate(self, learner: Learner) -> dict[str, float]:
        """Return loss, accuracy and UAR on PublicTest."""
        logits = torch.cat([learner.answers(some) for some in self._held.split(_ANSWERED_AT_ONCE)])
        return scores(logits.cpu().numpy(), self._held_targets)

    def _pictures(self, inputs: NDArray[np.float32]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(inputs)).permute(0, 3, 1, 2).to(self.device)


class CourseRun:
    """A course on its way."""

    def __init__(
        self,
        course: Course,
        progress: Progress,
        faces: Faces,
        plan: Plan,
        teachers: Sequence[nn.Module],
    ) -> None:
        torch.manual_seed(course.seed)
        self.course, self.progress, self._faces, self._plan, self._teachers = course, progress, faces, plan, teachers
        self.learners = [Learner(name, plan, faces.device) for name in course.networks]

    def train(self, allowed_s: float, epoch_done: Callable[[], bool], report: Callable[[str], None]) -> bool:
        """Train to the end; return whether it came to it, `epoch_done` having said True after every epoch.

        Where an epoch takes longer than planned, the clock moves the course on, so that it ends in time. Raises
        TrainingError when the loss is no number.
        """
        begun_s, begun_at = time.monotonic(), self.progress.part
        while self.progress.part < 1:
            begun = time.monotonic()
            row = self._epoch()
            row["seconds"] = round(time.monotonic() - begun, 2)
            clock = begun_at + (1 - begun_at) * (time.monotonic() - begun_s) / max(allowed_s, 1e-3)
            self.progress.part = min(1.0, max(self.progress.done / self.progress.epochs, clock))
            if self.progress.done % max(1, self.progress.epochs // VALIDATIONS) == 0 or self.progress.part == 1:
                self._validate(row, report)
            if not epoch_done():
                return False
        for learner in self.learners:
            learner.settle(self._faces.originals())
            settled = self._faces.validate(learner)
            report(
                f"{self.course.name}: {learner.name}: statistics settled: PublicTest accuracy "
                f"{settled['accuracy']:.1%}, UAR {settled['uar']:.1%}"
            )
        return True

    def state(self) -> dict[str, Any]:
        """Return all that is needed to go on, by network."""
        return {learner.name: learner.state() for learner in self.learners}

    def go_on(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""
        for learner in self.learners:
            learner.go_on(state[learner.name])

    def _epoch(self) -> dict[str, Any]:
        """Train one epoch; return what history.csv has of it, the losses by network."""
        faces, batch, part = self._faces, self._plan.batch_size, self.progress.part
        epoch, size = self.progress.done, size_at(part)
        rows = faces.rows_of_epoch(self.course.seed, epoch)
        steps = len(rows) // batch
        if not steps:
            raise TrainingError(f"the training data is less than a batch: take a --batch-size of {len(rows)} or below")
        # With this, going on after any epoch is the same as never having stopped.
        torch.manual_seed(self.course.seed * 1_000_003 + epoch)
        rate, order, targets = 0.0, torch.from_numpy(rows).to(faces.device), faces.targets(part)
        losses = torch.zeros(len(self.learners), device=faces.device)
        for step in range(steps):
            rate = self._plan.rate(min(1.0, part + step / steps / self.progress.epochs))
            losses += self._step(order[step * batch : (step + 1) * batch], targets, size, rate)
        mean = dict(zip(self.course.networks, (losses / steps).tolist(), strict=True))
        for name, loss in mean.items():
            if not math.isfinite(loss):
                raise TrainingError(
                    f"{self.course.name}: the loss of {name} is no number in epoch {epoch + 1}; begin anew in another "
                    "folder with a lower --peak-rate"
                )
        self.progress.done += 1
        self.progress.sizes.append(size)
        return {"epoch": self.progress.done, "size": size, "rate": round(rate, 6), "losses": mean}

    def _step(self, rows: torch.Tensor, targets: torch.Tensor, size: int, rate: float) -> torch.Tensor:
        """Let every network learn from one view; return their losses."""
        faces = self._faces
        seen, clear = view(faces.pixels[rows], size, faces.how, faces.preprocessing)
        wanted = targets[rows]
        if faces.how.mixup:
            seen, wanted = mixed(seen, wanted, faces.how.mixup)
            clear = seen
        if self._teachers:
            wanted = (1 - TAUGHT) * wanted + TAUGHT * mean_answer(
                self._teachers, clear, bfloat16=self._plan.precision == "mixed_bfloat16"
            )
        return torch.stack([learner.step(seen, wanted, rate) for learner in self.learners])

    def _validate(self, epoch: dict[str, Any], report: Callable[[str], None]) -> None:
        """Add a row for every network to its history, and report it."""
        where = f"epoch {epoch['epoch']}/{self.progress.epochs} at {epoch['size']}x{epoch['size']}"
        for learner in self.learners:
            found, loss = self._faces.validate(learner), epoch["losses"][learner.name]
            row: Row = {
                "epoch": epoch["epoch"],
                "size": epoch["size"],
                "rate": epoch["rate"],
                "loss": round(loss, 4),
                **{f"val_{name}": round(value, 4) for name, value in found.items()},
                "seconds": epoch["seconds"],
            }
            self.progress.rows.setdefault(learner.name, []).append(row)
            report(
                f"{self.course.name}: {where}: {learner.name}: loss {loss:.3f}; PublicTest: loss {found['loss']:.3f}, "
                f"accuracy {found['accuracy']:.1%}, UAR {found['uar']:.1%} ({epoch['seconds']:.1f} s an epoch)"
            )


def mean_answer(teachers: Sequence[nn.Module], inputs: torch.Tensor, *, bfloat16: bool) -> torch.Tensor:
    """Return the mean of the networks' probabilities, (n, 7)."""
    with torch.no_grad():
        answers = [logits_of(teacher, inputs, bfloat16=bfloat16).softmax(1) for teacher in teachers]
        return torch.stack(answers).mean(0)
