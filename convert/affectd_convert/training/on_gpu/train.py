"""Train the networks of a pack on a GPU within the minutes there are; kill it, and the same command goes on.

First the ensemble, one network after another, then the networks that it teaches. Needs PyTorch, NumPy and OpenCV.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import torch
from torch import nn

from affectd.face.preprocess import FacePreprocessing
from affectd_convert.errors import TrainingError
from affectd_convert.training.on_gpu import parts
from affectd_convert.training.on_gpu.augment import view
from affectd_convert.training.on_gpu.course import CourseRun, Faces, Progress
from affectd_convert.training.on_gpu.learnt import read_learnt, write_learnt
from affectd_convert.training.on_gpu.networks import Learner, with_weights
from affectd_convert.training.on_gpu.pack import read_pack
from affectd_convert.training.on_gpu.schedule import SIDE, SPARED, Course, Rates, fitting, stages_of
from affectd_convert.training.on_gpu.stand import STATE, Recipe, claim
from affectd_convert.training.plan import Plan, Stage

CHECKPOINT_S = 60.0
TIMED_S = 0.5
"""How long a step is timed."""


class Training:
    """All courses of a pack, in a folder."""

    def __init__(
        self, data: Path, out: Path, recipe: Recipe, device: torch.device, report: Callable[[str], None]
    ) -> None:
        """Raise TrainingError when the folder holds another training, or its disk has not the room."""
        self._begun = time.monotonic()
        self._out, self._recipe, self._device, self._print = out, recipe, device, report
        self._pack = read_pack(data)
        self._courses = recipe.courses()
        self._stand = claim(out, recipe, self._pack.digest[:12])
        self._saved_at = -CHECKPOINT_S
        self._faces = Faces(self._pack, FacePreprocessing(), recipe.augmentation(), device)

    def train(self, stopped: Callable[[], bool]) -> bool:
        """Train all that is left; return whether it came to the end, `stopped` asked after every epoch."""
        to_come = [course for course in self._courses if course.name not in self._stand.finished]
        if not to_come:
            self._report(f"{self._out}: trained already")
            return True
        rates = self._measure()
        while to_come:
            if not self._run(to_come, rates, stopped):
                return False
            del to_come[0]
        return True

    def _run(self, to_come: Sequence[Course], rates: Rates, stopped: Callable[[], bool]) -> bool:
        course = to_come[0]
        progress, allowed_s = self._planned(to_come, rates)
        plan = self._recipe.plan(course.seed, stages_of(progress.epochs))
        run = CourseRun(course, progress, self._faces, plan, self._teachers(course))
        if progress.done:
            state = parts.read_parts(self._out, STATE)
            run.go_on(torch.load(io.BytesIO(state), map_location=self._device, weights_only=True))
        going = "going on after epoch" if progress.done else "begins:"
        self._report(f"{course.name}: {going} {progress.done} of {progress.epochs}, {allowed_s:.0f} s for it")

        def epoch_done() -> bool:
            stop = stopped()
            if stop or time.monotonic() - self._saved_at >= CHECKPOINT_S:
                self._save(run)
            return not stop

        if not run.train(allowed_s, epoch_done, self._report):
            return False
        self._finish(course, run, plan)
        return True

    def _planned(self, to_come: Sequence[Course], rates: Rates) -> tuple[Progress, float]:
        """Return where the first course stands, its epochs planned, and the seconds that it may take."""
        left_s = self._recipe.minutes * 60 * (1 - SPARED) - (time.monotonic() - self._begun)
        count = len(self._faces.rows_of_epoch(0, 0))
        if self._stand.under_way is None:
            progress = Progress(fitting(self._recipe.epochs, to_come, rates, count, left_s))
        else:
            progress = Progress(**self._stand.under_way)
        seconds = [progress.epochs * rates.epoch_s(course, count, progress.epochs) for course in to_come]
        seconds[0] *= 1 - progress.part
        # Stopped after the very last epoch, nothing is left but to settle.
        return progress, left_s * seconds[0] / sum(seconds) if progress.part < 1 else 0.0

    def _finish(self, course: Course, run: CourseRun, plan: Plan) -> None:
        """Write what the course's networks learnt."""
        learnt = {learner.name: learner.weights() for learner in run.learners}
        ran = tuple(
            Stage(epochs=run.progress.sizes.count(size), size=size) for size in dict.fromkeys(run.progress.sizes)
        )
        record = {
            "networks": list(course.networks),
            "teachers": list(course.teachers),
            "plan": asdict(replace(plan, stages=ran)),
            "data": asdict(self._pack.used),
            "augmentation": asdict(self._faces.how),
            "command": self._stand.command,
        }
        self._report(f"{course.name}: trained")
        taught_by = list(self._stand.finished.values()) if course.teachers else []
        said = {**record, "taught_by": taught_by, "rows": run.progress.rows, "log": self._stand.log}
        write_learnt(self._out, course.name, learnt, said)
        self._stand.finished[course.name] = record
        self._stand.under_way = None
        parts.write_parts(self._out, STATE, b"", asdict(self._stand))

    def _save(self, run: CourseRun) -> None:
        content = io.BytesIO()
        torch.save(run.state(), content)
        self._stand.under_way = asdict(run.progress)
        parts.write_parts(self._out, STATE, content.getvalue(), asdict(self._stand))
        self._saved_at = time.monotonic()

    def _teachers(self, course: Course) -> list[nn.Module]:
        if not course.teachers:
            return []
        made = []
        for taught in self._courses[:-1]:
            weights = read_learnt(self._out, taught.name)
            made += [with_weights(name, weights[name], self._device) for name in taught.networks]
        return made

    def _measure(self) -> Rates:
        """Time a step of every network, an answer of every teacher, and a view, all of 48x48."""
        names = dict.fromkeys((*self._recipe.networks, *self._recipe.ensemble))
        plan = self._recipe.plan(0, stages_of(1))
        batch = min(plan.batch_size, len(self._faces.pixels))
        faces = self._faces.pixels[:batch]
        targets = self._faces.targets(0.0)[:batch]
        shown = view(faces, SIDE, self._faces.how, self._faces.preprocessing).seen
        train, answer = {}, {}
        for name in names:
            learner = Learner(name, plan, self._device)
            train[name] = self._seconds(partial(learner.step, shown, targets, 0.0)) / batch
            answer[name] = self._seconds(partial(learner.answers, shown)) / batch
        viewed = self._seconds(lambda: view(faces, SIDE, self._faces.how, self._faces.preprocessing)) / batch
        rates = ", ".join(f"{name} learns from {1 / seconds:.0f}" for name, seconds in train.items())
        self._report(f"faces of {SIDE}x{SIDE} a second on {self._named()}: {rates}; {1 / viewed:.0f} augmented")
        return Rates(train, answer, viewed)

    def _seconds(self, work: Callable[[], object]) -> float:
        """Return how long `work` takes after two goes that warm it up."""
        for _ in range(2):
            work()
        self._wait()
        begun, times = time.perf_counter(), 0
        while time.perf_counter() - begun < TIMED_S:
            work()
            self._wait()
            times += 1
        return (time.perf_counter() - begun) / times

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize()

    def _named(self) -> str:
        return torch.cuda.get_device_name() if self._device.type == "cuda" else "the processor"

    def _report(self, line: str) -> None:
        self._stand.log.append(line)
        self._print(line)


def device_for(*, cpu: bool) -> torch.device:
    """Return the GPU, or the processor where that is asked for. Raises TrainingError when there is no GPU."""
    if cpu:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise TrainingError("no CUDA GPU here; --cpu trains on the processor, for a trial")
    torch.backends.cudnn.benchmark = True
    return torch.device("cuda")
