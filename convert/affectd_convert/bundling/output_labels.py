"""Which of affectd's labels each output of a custom model stands for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectd.errors import ModelError
from affectd.events import LABELS, VOICE_LABELS
from affectd.inference.manifest import Section
from affectd.inference.model import label_probabilities
from affectd_convert.datasets.names import label_of

FloatArray = NDArray[np.float32]

NONE = "none"
"""What the table says of an output that is none of affectd's labels: its probability is left out."""
_FEWEST = 2


@dataclass(frozen=True, slots=True)
class OutputLabels:
    """What the network's outputs are called, and what they mean to affectd."""

    names: tuple[str, ...]
    """As the TOML has them, in the order of the model's outputs."""
    named: tuple[str | None, ...]
    """The shared label of each; None for one that is left out."""
    labels: tuple[str, ...]
    """The shared labels that the model knows, in the shared order."""

    @property
    def order(self) -> tuple[int, ...]:
        """The model's own number of each output of the imported network: in the shared order, if each is one label."""
        if len(self.named) == len(self.labels):
            return tuple(self.named.index(label) for label in self.labels)
        return tuple(range(len(self.named)))

    @property
    def outputs(self) -> tuple[str | None, ...]:
        """The shared label of each output of the imported network; None for one that is left out."""
        return tuple(self.named[number] for number in self.order)

    def probabilities(self, logits: FloatArray, temperature: float) -> NDArray[np.float64]:
        """Return probabilities (n, labels) of logits (n, outputs), as the device makes them."""
        return label_probabilities(logits, self.outputs, self.labels, temperature)


def read_output_labels(root: Section, task: str) -> OutputLabels:
    """Take `labels`: a list of the outputs' names, or a table of name to label, both in the order of the outputs.

    A name that is known in any spelling ('Angry', 'happiness') stands for its label without a table. Raises
    ModelError that names the output and what is allowed.
    """
    shared = LABELS if task == "face" else VOICE_LABELS
    value = root.take("labels")
    named: tuple[str | None, ...]
    if isinstance(value, dict) and value:
        named = tuple(_meant(root, name, label, shared) for name, label in value.items())
    elif isinstance(value, list) and value and all(isinstance(name, str) for name in value):
        named = tuple(_named(root, name, shared) for name in value)
    else:
        raise root.refuse("labels", "the names of the model's outputs in their order, as a list or a table", value)
    labels = tuple(label for label in shared if label in named)
    if len(labels) < _FEWEST:
        raise root.refuse("labels", f"of two or more of {', '.join(shared)}", list(value))
    return OutputLabels(tuple(value), named, labels)


def _meant(root: Section, name: str, label: Any, shared: tuple[str, ...]) -> str | None:
    """Return the label that the table gives an output."""
    known = label_of(label, shared) if isinstance(label, str) else None
    if label != NONE and known is None:
        raise root.refuse(f"labels.{name}", f"one of {', '.join((*shared, NONE))}", label)
    return known


def _named(root: Section, name: str, shared: tuple[str, ...]) -> str:
    """Return the label that an output is named after."""
    label = label_of(name, shared)
    if label is None:
        raise ModelError(
            f"{root.where}: labels: {name!r} is none of {', '.join(shared)}; write a table [labels], a line an output "
            f'in their order, with {name} = "{NONE}" to leave it out'
        )
    return label
