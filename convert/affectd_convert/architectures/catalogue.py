"""Every network that `affectd-convert train --architecture NAME` trains, by name: whose it is, what it takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from affectd.events import LABELS
from affectd.face.preprocess import FacePreprocessing
from affectd_convert.architectures import (
    cnn,
    cnn1d,
    cnn_attention,
    cnn_bilstm,
    cnn_gru,
    cnn_lstm,
    cnn_lstm_sequence,
    cnn_then_lstm,
    dargula_cnn,
    das_cnn,
    efficientnet_b7,
    efficientnet_lite0,
    lstm,
    mlp,
    mobilenet_v2,
    resnet50,
    simple_cnn,
    vgg16,
)

GANDHI, DAS, DARGULA = "Gandhi & Patil", "Das & Khokher", "Dargula et al."
KHACHATRYAN = "Khachatryan & Tovmasyan"
_UNIT = FacePreprocessing(equalize=False, mean=0.0, std=255.0)
"""Levels 0..1, as three of the papers prepare them."""


@dataclass(frozen=True)
class FaceArchitecture:
    """One network for faces."""

    paper: str
    build: Callable[..., Any]
    """Number of labels to a Keras model, input to logits; where `any_side`, of pictures of `size=`, None for any."""
    inputs: FacePreprocessing = FacePreprocessing()  # noqa: RUF009 - it is frozen
    any_side: bool = False
    """It can be trained on growing pictures."""
    depthwise: bool = False
    """Most of its convolutions are depthwise, which Keras is slower at in bfloat16 than in float32 on a processor."""
    batch_size: int = 128
    optimizer: str = "sgd"
    peak_rate: float = 0.04

    @property
    def side(self) -> int:
        """Of the pictures, which are square."""
        return self.inputs.shape[0]

    def network(self) -> Any:
        """Return a new Keras model for affectd's labels."""
        return self.build(len(LABELS), size=None) if self.any_side else self.build(len(LABELS))


@dataclass(frozen=True)
class VoiceArchitecture:
    """One network for voices, over windows of the device's speech frames."""

    paper: str
    build: Callable[..., Any]
    """Number of labels, `frames=` and `columns=` to a Keras model, windows (batch, frames, columns) to logits."""


FACE = {
    "vgg16": FaceArchitecture(f"{GANDHI}; Wani et al.", vgg16.build, any_side=True),
    "vgg16-slim": FaceArchitecture(f"{GANDHI}, in small", partial(vgg16.build, widths=vgg16.SLIM), any_side=True),
    "vgg16-fast": FaceArchitecture(
        f"{GANDHI}, in very small", partial(vgg16.build, widths=vgg16.FAST, dropout=0.2), any_side=True
    ),
    "mobilenet-v2": FaceArchitecture(GANDHI, mobilenet_v2.build, any_side=True, depthwise=True),
    "simple-cnn": FaceArchitecture(GANDHI, simple_cnn.build),
    "cnn-lstm-sequence": FaceArchitecture(
        GANDHI, cnn_lstm_sequence.build, FacePreprocessing(frames=cnn_lstm_sequence.FRAMES)
    ),
    "das-cnn": FaceArchitecture(DAS, das_cnn.build, _UNIT),
    "dargula-cnn": FaceArchitecture(DARGULA, dargula_cnn.build, _UNIT),
    "resnet50": FaceArchitecture(
        DARGULA, resnet50.build, FacePreprocessing(channels=3, equalize=False, mean=0.0, std=255.0)
    ),
    "efficientnet-lite0": FaceArchitecture(
        f"{KHACHATRYAN}, in small",
        efficientnet_lite0.build,
        FacePreprocessing(size=96, channels=3, equalize=False, mean=127.0, std=128.0),
        any_side=True,
        depthwise=True,
    ),
    "efficientnet-b7": FaceArchitecture(
        KHACHATRYAN,
        efficientnet_b7.build,
        # It rescales inside.
        FacePreprocessing(channels=3, equalize=False, mean=0.0, std=1.0),
        depthwise=True,
        # A step takes 5 GB.
        batch_size=64,
        optimizer="adamax",
        peak_rate=1e-3,
    ),
}
VOICE = {
    "cnn-lstm": VoiceArchitecture(f"{GANDHI}; Wani et al.", cnn_lstm.build),
    "mlp": VoiceArchitecture(DAS, mlp.build),
    "lstm": VoiceArchitecture(DAS, lstm.build),
    "cnn1d": VoiceArchitecture(KHACHATRYAN, cnn1d.build),
    "cnn": VoiceArchitecture(DARGULA, cnn.build),
    "cnn-then-lstm": VoiceArchitecture(DARGULA, cnn_then_lstm.build),
    "cnn-bilstm": VoiceArchitecture(DARGULA, cnn_bilstm.build),
    "cnn-gru": VoiceArchitecture(DARGULA, cnn_gru.build),
    "cnn-attention": VoiceArchitecture(DARGULA, cnn_attention.build),
}
