"""What a bundle says of itself that no file of the run can be asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a bundle says of itself that no file of the run can be asked."""

    name: str
    version: str
    task: str
    architecture: str
    maturity: str
    labels: tuple[str, ...]
    outputs: tuple[str | None, ...] = ()
    """The label of each of the network's outputs, None for one that is dropped; empty: they are `labels`."""
    parameters: Mapping[str, Any]
    """FacePreprocessing.to_manifest() or VoiceFeatures.to_manifest()."""
    training_data: Sequence[Mapping[str, str]]
    """Each with name, licence, use."""
    commands: Sequence[str] = ()
    """What was run to make it, for the card."""
    note: str = ""
    """What readers of the card must know, such as how the speakers were split."""
    protocol: str = ""
    """Markdown for the card: how it was trained and validated, and figures beside those of the held-out split."""
    fold_of: str = ""
    """The bundle whose cross-validation this is a fold of: its card says that, its figures, and no more."""
