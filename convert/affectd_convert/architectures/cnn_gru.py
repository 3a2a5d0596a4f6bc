"""Dargula et al.'s CNN + GRU for voices (Cho et al. 2014)."""

from __future__ import annotations

from typing import Any

from affectd_convert.architectures import convolutions_and


def build(labels: int, *, frames: int, columns: int) -> Any:
    """Return a Keras model, (batch, frames, columns) float32 to (batch, labels) float32 logits."""
    return convolutions_and.build("cnn_gru", _over_time, labels, frames=frames, columns=columns)


def _over_time(steps: Any) -> Any:
    from keras import layers

    return layers.GRU(convolutions_and.UNITS)(steps)
