"""From a protocol to its results: the data, its splits, one network fitted and scored on each."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectd.events import LABELS
from affectd_convert.datasets import fer2013, speech
from affectd_convert.evaluation.metrics import Evaluation, evaluate
from affectd_convert.papers import face, fitting, results, voice
from affectd_convert.papers.splits import Split

NAMES = tuple(protocol.name for protocol in (*voice.PROTOCOLS, *face.PROTOCOLS))


@dataclass(frozen=True, eq=False)
class Experiment:
    """One network on one split of labelled samples."""

    protocol: str
    split_name: str
    split: Split
    inputs: NDArray[np.float32]
    """(n, ...)."""
    truth: NDArray[np.int64]
    """(n,) label numbers."""
    labels: tuple[str, ...]
    groups: Sequence[Hashable]
    """Of each sample: who speaks, or the picture itself; what must not be on both sides."""
    ravdess: NDArray[np.bool_] | None
    """(n,) which samples are RAVDESS's; None for faces."""


def run_missing(names: Collection[str], data: Path, run: Path) -> None:
    """Run the protocols in `names` on every split that `run` holds no result of, and keep each result there.

    `data` holds the speech corpora and FER2013, each only if a protocol needs it. Raises DataError
    naming what is missing.
    """
    done = {(one.protocol, one.split) for one in results.read(run)}
    voices = [p for p in voice.PROTOCOLS if p.name in names and not {(p.name, s) for s in voice.SPLITS} <= done]
    if voices:
        clips = [clip for clip in speech.read_speech(data) if clip.corpus in voice.CORPORA]
        frames = voice.windows(clips, run)
        for protocol in voices:
            for name in voice.SPLITS:
                if (protocol.name, name) not in done:
                    _fit_and_keep(_of_voices(protocol, name, clips, frames), protocol.network, protocol.recipe, run)
    faces = [p for p in face.PROTOCOLS if p.name in names and not {(p.name, s) for s in p.splits} <= done]
    if faces:
        pictures = fer2013.read_fer2013(data)
        for face_protocol in faces:
            for name in face_protocol.splits:
                if (face_protocol.name, name) not in done:
                    experiment = _of_faces(face_protocol, name, pictures)
                    _fit_and_keep(experiment, face_protocol.network, face_protocol.recipe, run)


def _of_voices(
    protocol: voice.VoiceProtocol, split_name: str, clips: Sequence[speech.Utterance], frames: NDArray[np.float16]
) -> Experiment:
    rows = voice.rows_of(protocol, clips)
    mine = [clips[row] for row in rows]
    split = voice.SPLITS[split_name](mine)
    return Experiment(
        protocol=protocol.name,
        split_name=split_name,
        split=split,
        inputs=voice.network_inputs(frames[rows], split.train, summary=protocol.summary),
        truth=voice.label_numbers(mine, protocol.labels),
        labels=protocol.labels,
        groups=[clip.speaker for clip in mine],
        ravdess=np.array([clip.corpus == "ravdess" for clip in mine]),
    )


def _of_faces(protocol: face.FaceProtocol, split_name: str, faces: fer2013.FaceSet) -> Experiment:
    return Experiment(
        protocol=protocol.name,
        split_name=split_name,
        split=face.SPLITS[split_name](faces),
        inputs=face.network_inputs(faces.pixels),
        truth=faces.label,
        labels=LABELS,
        groups=[pixels.tobytes() for pixels in faces.pixels],
        ravdess=None,
    )


def _fit_and_keep(experiment: Experiment, network: Callable[[int], Any], recipe: fitting.Recipe, run: Path) -> None:
    train, test = experiment.split.train, experiment.split.test
    print(f"{experiment.protocol}, {experiment.split_name}: {len(train)} to train on, {len(test)} to test", flush=True)
    began = time.monotonic()
    model = fitting.fit(
        lambda: network(len(experiment.labels)), experiment.inputs[train], experiment.truth[train], recipe
    )
    seconds = time.monotonic() - began

    def score(rows: NDArray[np.int64]) -> Evaluation:
        return evaluate(fitting.logits(model, experiment.inputs[rows]), experiment.truth[rows], experiment.labels)

    seen, unseen = score(train), score(test)
    ravdess = None if experiment.ravdess is None else score(test[experiment.ravdess[test]]).accuracy
    results.add(
        run,
        results.Result(
            protocol=experiment.protocol,
            split=experiment.split_name,
            epochs=recipe.epochs,
            trained=len(train),
            tested=len(test),
            leak=experiment.split.leak(experiment.groups),
            train_accuracy=seen.accuracy,
            accuracy=unseen.accuracy,
            macro_f1=unseen.macro_f1,
            uar=unseen.uar,
            ravdess_accuracy=ravdess,
            seconds=seconds,
        ),
    )
