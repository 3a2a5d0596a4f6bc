"""A bundle's variant, opened and proven: logits and calibrated probabilities."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from affectd.errors import ModelError
from affectd.inference.accelerators.accelerator import FloatArray, Network, Workload
from affectd.inference.accelerators.choice import Choice, Wanted, choose
from affectd.inference.accelerators.cpu import NAME as CPU
from affectd.inference.accelerators.cpu import Cpu
from affectd.inference.accelerators.trials import Trials
from affectd.inference.bundle import VOCABULARY, Bundle
from affectd.inference.interpreter import load_runtime
from affectd.inference.proof import prove

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Model:
    """An open model. Not thread-safe: one thread calls it."""

    bundle: Bundle
    kind: str
    interpreter: Network
    runtime: str
    """Name and version of the runtime."""
    delegate: str
    """The delegate in use: 'cpu' also where another one is configured and failed."""
    delegate_reason: str = ""
    """Why it is not the configured one, or why 'auto' took it; empty where there is nothing to explain."""

    not_numbers: int = field(default=0, init=False)
    """Answers that were NaN or infinite, and are not read."""
    trouble: str | None = field(default=None, init=False)
    """What is wrong with its newest answer; None: nothing."""

    @property
    def labels(self) -> tuple[str, ...]:
        """What it knows, in the order of its task's VOCABULARY."""
        return self.bundle.labels

    @property
    def temperature(self) -> float:
        """Of the calibration."""
        return self.bundle.temperature

    @property
    def description(self) -> str:
        """Name, version and variant, as events carry them."""
        return f"{self.bundle.name} {self.bundle.version} {self.kind}"

    def __str__(self) -> str:
        """Name it and what runs it."""
        return f"{self.description} on {self.runtime}, {self.delegate}"

    def logits(self, x: FloatArray) -> FloatArray:
        """Return logits (outputs,) float32 for one float32 input, with or without the batch axis."""
        return self.interpreter(x)

    def probabilities(self, x: FloatArray) -> tuple[float, ...] | None:
        """Return calibrated probabilities for one input, in the order of its task's VOCABULARY.

        A label that the model does not know has 0. None where the answer is none: NaN or infinite.
        """
        logits, vocabulary = self.logits(x), VOCABULARY[self.bundle.task]
        if not np.isfinite(logits).all():
            self._not_read()
            return None
        self.trouble = None
        return tuple(label_probabilities(logits, self.bundle.outputs, vocabulary, self.temperature).tolist())

    def _not_read(self) -> None:
        self.not_numbers += 1
        self.trouble = (
            f"{self.bundle.name} ({self.kind}) answers NaN or infinity, which is not read; take another variant "
            f"(inference.{self.bundle.task}_variant), or convert the model again"
        )
        if self.not_numbers == 1:
            log.error("%s", self.trouble)


def open_model(
    bundle: Bundle, kind: str, *, runtime: str = "auto", wanted: Wanted | None = None, trials: Trials | None = None
) -> Model:
    """Open the variant `kind` and prove it on the golden samples.

    `runtime`: 'auto', 'litert' or 'tflite-runtime'. It runs on what is `wanted`, by default the CPU; an accelerator
    that `trials` finds wrong is left for the CPU, with a warning in the log. Raises ModelError when the runtime is not
    there, a file does not fit the manifest, or the CPU's answers are not those of the float parent.
    """
    workload, trials = Workload(bundle, kind, load_runtime(runtime)), trials or Trials()
    choice = choose(wanted or Wanted(), workload, trials)
    if choice.accelerator.name != CPU:
        try:
            trials.about_to_use(workload, choice.accelerator)
            model = open_chosen(workload, choice)
        except ModelError as error:
            trials.not_used(bundle)
            choice = Choice(Cpu(), f"{choice.accelerator.name}: {error}", fell_back=True)
        else:
            log.info("%s runs on %s", bundle.name, choice)
            return model
    if choice.fell_back:
        log.warning("%s runs on the CPU: %s", bundle.name, choice.reason)
    return open_chosen(workload, choice)


def open_chosen(workload: Workload, choice: Choice) -> Model:
    """Open the workload on what was chosen, in this process, and prove it. Raises ModelError, MemoryError."""
    bundle, kind = workload.bundle, workload.kind
    network = choice.accelerator.open(bundle.model_file(kind), workload.runtime).network
    prove(bundle, kind, bundle.golden(), network)
    return Model(bundle, kind, network, str(workload.runtime), choice.accelerator.name, choice.reason)


def label_probabilities(
    logits: FloatArray, outputs: Sequence[str | None], labels: Sequence[str], temperature: float = 1.0
) -> NDArray[np.float64]:
    """Return probabilities (..., labels) of logits (..., outputs), whose labels are `outputs`; 0 for one of no output.

    They are softmax(logits / temperature) over all outputs, those of one label summed, those of none (None) dropped
    and the rest brought to a sum of 1. Dropped before the softmax they come to the same, and never to nothing at all.
    """
    kept = [index for index, label in enumerate(outputs) if label is not None]
    shares = softmax(np.asarray(logits)[..., kept], temperature)
    summed = np.array([[outputs[index] == label for label in labels] for index in kept], np.float64)
    return np.asarray(shares @ summed)


def softmax(logits: FloatArray, temperature: float = 1.0) -> NDArray[np.float64]:
    """Return softmax(logits / temperature) over the last axis."""
    scaled = np.asarray(logits, np.float64) / temperature
    scaled -= scaled.max(axis=-1, keepdims=True)
    powers = np.exp(scaled)
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
