"""Dargula et al.'s CNN + self-attention for voices: four heads over the convolutions' steps (Vaswani et al. 2017)."""

from __future__ import annotations

from typing import Any

from affectd_convert.architectures import convolutions_and


def build(labels: int, *, frames: int, columns: int) -> Any:
    """Return a Keras model, (batch, frames, columns) float32 to (batch, labels) float32 logits."""
    return convolutions_and.build("cnn_attention", _over_time, labels, frames=frames, columns=columns)


def _over_time(steps: Any) -> Any:
    from keras import layers

    attended = layers.MultiHeadAttention(num_heads=4, key_dim=32)(steps, steps)
    mixed = layers.LayerNormalization()(layers.Add()([steps, attended]))
    return layers.GlobalAveragePooling1D()(mixed)
