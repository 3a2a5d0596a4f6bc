"""Small slices of FER2013 and RAVDESS in the files that `affectd-convert bundle --from` reads, every label alike.

python samples.py FER2013.npz SPEECH FOLDER
"""

import csv
import sys
from pathlib import Path

import numpy as np

from affectd.events import LABELS, VOICE_LABELS
from affectd.voice.features import VoiceFeatures
from affectd_convert.datasets.clip_windows import clip_windows
from affectd_convert.datasets.labelled import read_clip_index

HELD_OUT_ACTORS = {"02", "05", "14", "15", "16"}
"""RAVDESS's of fold 0: never trained on."""


def write_faces(fer2013: Path, folder: Path, train: int, test: int) -> None:
    """Write train.npz (of Training) and test.npz (of PublicTest), so many faces a label."""
    with np.load(fer2013) as data:
        pixels, label, usage = data["pixels"], data["label"], data["usage"]
    rng = np.random.default_rng(0)
    for name, split, count in (("train", 0, train), ("test", 1, test)):
        rows = [rng.permutation(np.flatnonzero((usage == split) & (label == k)))[:count] for k in range(len(LABELS))]
        chosen = np.concatenate(rows)
        np.savez(folder / f"{name}.npz", pixels=pixels[chosen], label=label[chosen])


def write_clips(speech: Path, folder: Path, train: int, test: int) -> None:
    """Write train.csv and test.csv of RAVDESS's clips, so many a label, of other actors."""
    with (speech / "index.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["corpus"] == "ravdess"]
    rng = np.random.default_rng(0)
    for name, count in (("train", train), ("test", test)):
        mine = [row for row in rows if (row["speaker"] in HELD_OUT_ACTORS) == (name == "test")]
        chosen = [
            mine[i]
            for label in VOICE_LABELS
            for i in rng.permutation([i for i, row in enumerate(mine) if row["emotion"] == label])[:count]
        ]
        with (folder / f"{name}.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["file", "emotion", "speaker"])
            table.writerows([(speech / row["file"]).resolve(), row["emotion"], row["speaker"]] for row in chosen)


def windows(index: Path, features: VoiceFeatures):
    """Return the windows of all clips (n, ...) and their labels (n,)."""
    clips = read_clip_index(index, VOICE_LABELS, features)
    parts = [clip_windows(samples, features) for samples in clips.samples]
    return np.concatenate(parts), np.repeat(clips.truth, [len(part) for part in parts])


def fitted_head(features, truth, labels: int):
    """Return weights (columns, labels) and biases (labels,) of the last layer by least squares: a head in a second.

    The outputs are spread like logits. Much is taken off the weights, for those that hang on small differences between
    features have no int8 form.
    """
    x = np.asarray(features, np.float64)
    mean, spread = x.mean(axis=0), x.std()
    scaled = (x - mean) / spread
    targets = np.eye(labels)[truth] * labels - 1
    kernel = np.linalg.solve(scaled.T @ scaled + len(x) / 100 * np.eye(x.shape[1]), scaled.T @ targets) / spread
    return kernel.astype(np.float32), (-mean @ kernel).astype(np.float32)


if __name__ == "__main__":
    faces, speech, work = map(Path, sys.argv[1:])
    write_faces(faces, work, 100, 30)
    write_clips(speech, work, 24, 12)
