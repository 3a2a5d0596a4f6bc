"""What a bundle's networks cost by themselves: each variant on each runtime and accelerator here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

from affectd.config import InferenceConfig
from affectd.errors import ModelError
from affectd.inference.accelerators.accelerator import Accelerator, Workload
from affectd.inference.accelerators.catalogue import named, present
from affectd.inference.accelerators.choice import AUTO
from affectd.inference.accelerators.cpu import NAME as CPU
from affectd.inference.accelerators.cpu import Cpu
from affectd.inference.accelerators.trial import ALL_S, job_of, try_out
from affectd.inference.bundle import Bundle
from affectd.inference.interpreter import RUNTIMES, installed_runtimes, load_runtime

_PROBE = "affectd.cli.bench.probe"


@dataclass(frozen=True, slots=True)
class Cost:
    """What one way to run a network costs."""

    load_ms: float
    """From the file to a network that is ready for its first inference."""
    median_ms: float
    p95_ms: float
    count: int
    """Inferences measured."""
    memory_mb: float
    """By how much the resident memory grew at most, from before the model was loaded."""


@dataclass(frozen=True, slots=True)
class Alone:
    """A variant on one runtime and accelerator."""

    workload: Workload
    accelerator: Accelerator
    cost: Cost | None
    """None where it does not run right."""
    fault: str = ""
    """Why it does not, in a sentence."""

    def to_json(self) -> dict[str, object]:
        """Return the numbers, three decimals."""
        costs = {} if self.cost is None else {name: round(value, 3) for name, value in asdict(self.cost).items()}
        return {
            "variant": self.workload.kind,
            "runtime": str(self.workload.runtime),
            "delegate": self.accelerator.name,
            "threads": self.accelerator.threads,
            **costs,
            "fault": self.fault or None,
        }


def measure_alone(bundle: Bundle, settings: InferenceConfig) -> list[Alone]:
    """Measure every variant on every runtime and accelerator here. Raises ModelError where the bundle is damaged."""
    return [
        _measure(workload, accelerator)
        for workload in _workloads(bundle)
        for accelerator in _accelerators(workload, settings)
    ]


def refuse_wrong(bundle: Bundle, alone: Iterable[Alone]) -> None:
    """Raise ModelError where a variant does not run right anywhere here."""
    right = {each.workload.kind for each in alone if each.cost is not None}
    for each in alone:
        if each.workload.kind not in right:
            raise ModelError(f"{bundle.folder}: {each.workload.kind} does not run right on this box: {each.fault}")


def _workloads(bundle: Bundle) -> Iterator[Workload]:
    """Return every variant whose file is there, on every runtime installed.

    Raises ModelError where a file is damaged, or there is no runtime or no file.
    """
    kinds = [kind for kind in bundle.variants if bundle.has_file(kind)]
    if not kinds:
        raise ModelError(f"{bundle.folder}: none of its .tflite files is there; copy the bundle again")
    bundle.golden()
    for kind in kinds:
        bundle.model_file(kind)
    runtimes = [load_runtime(key) for key in RUNTIMES if key in installed_runtimes()] or [load_runtime("auto")]
    for kind in kinds:
        for runtime in runtimes:
            yield Workload(bundle, kind, runtime)


def _accelerators(workload: Workload, settings: InferenceConfig) -> list[Accelerator]:
    """Return the processor, the accelerators that this box may have, and the one that the settings name."""
    threads = settings.threads or 1
    found: list[Accelerator] = [Cpu(threads), *present(workload.kind, workload.runtime.key, threads)]
    if settings.delegate != AUTO and settings.delegate not in [each.name for each in found]:
        found.append(named(settings.delegate, settings.options, threads))
    return found


def _measure(workload: Workload, accelerator: Accelerator) -> Alone:
    """Load and run it in a process of its own, so that neither its memory nor its end is this one's."""
    if accelerator.name != CPU:
        verdict = try_out(workload, accelerator)
        if not verdict.good:
            return Alone(workload, accelerator, None, verdict.fault)
    try:
        ended = subprocess.run(  # noqa: S603 - affectd itself
            [sys.executable, "-m", _PROBE],
            input=json.dumps(job_of(workload, accelerator)),
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            timeout=ALL_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Alone(workload, accelerator, None, f"is too slow: not done within {ALL_S:g} s")
    answers = [line for line in ended.stdout.splitlines() if line.startswith("{")]  # libraries print what they like
    if ended.returncode or not answers:
        said = (ended.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return Alone(workload, accelerator, None, f"its process ended with {ended.returncode} ({said})")
    answer = json.loads(answers[-1])
    if "fault" in answer:
        return Alone(workload, accelerator, None, answer["fault"])
    return Alone(workload, accelerator, Cost(**answer))
