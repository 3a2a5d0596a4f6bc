"""Accuracy and milliseconds a face on FER2013 PublicTest: our face models beside those of pip packages.

Run by scripts/compare-fer, which installs what this needs. All models get the same 48x48 crops, in one
process, on one thread of the same runtime, and take turns every few faces, so that whatever else the
machine does hits all of them. The time is the processor's, not the clock's, the median over all faces.
"""

import argparse
import importlib.metadata
import importlib.util
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# Before NumPy: its threads must not help anybody.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import cv2
import numpy as np
from scipy.ndimage import zoom

from affectd.errors import AffectdError
from affectd.events import LABELS
from affectd.face.preprocess import FacePreprocessing, GrayImage
from affectd.inference.bundle import Bundle
from affectd.inference.interpreter import Interpreter, load_runtime
from affectd.inference.model import open_model
from affectd_convert.datasets.fer2013 import PUBLIC_TEST, read_fer2013
from affectd_convert.errors import DataError

MODELS = Path(__file__).resolve().parents[1] / "models"
OURS = ("face-vgg16", "face-vgg16-slim")
TURN = 20
"""Faces a model reads before the next one takes over: enough to have its weights in the cache again."""
NOTES = f"""
Every model got the same 48x48 crops, in turns of {TURN} faces, from grey crop to answer; the time is the median
of processor time, all threads together.
fer runs with offsets (0, 0); facex's and fer's own programs run the same files on TensorFlow.

What each has seen of FER2013:
- Ours are trained on Training, less the faces that are practically a PublicTest photo. PublicTest is the
  validation split: it chose between recipes, so the figure flatters a little.
- fer's package does not say what its weights were trained on. Its code is derived, as it says, from
  oarriaga/face_classification, whose training program fits the first 80 % of the rows of fer2013.csv, which
  is Training to the row, and keeps the epoch with the least loss on the rest. If the weights come from
  there, PublicTest was not trained on but helped to choose them, and those of its faces that have a copy in
  Training (280 exact ones) were seen.
- facex's package does not say what its weights were trained on."""


@dataclass(frozen=True)
class Contestant:
    """One model, from a grey 48x48 face to the number of its answer in LABELS."""

    name: str
    bytes: int
    answer: Callable[[GrayImage], int]


def main() -> int:
    """Measure and print one table; the exit code says whether it could be done."""
    parser = argparse.ArgumentParser(prog="compare-fer", description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="fer2013.npz, fer2013.csv, or the folder of either")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    try:
        faces = read_fer2013(options.data).split(PUBLIC_TEST)
        if not len(faces.label):
            raise DataError(f"{options.data}: holds no PublicTest faces")
        contestants = [*ours(), fer(), facex()]
        answers, milliseconds = compare(contestants, faces.pixels)
    except AffectdError as error:
        print(f"compare-fer: {error}", file=sys.stderr)
        return error.exit_code
    print(f"FER2013 PublicTest, {len(faces.label)} faces; {load_runtime('litert')}, one thread, {processor()}")
    print(f"\n{'model':<28}{'file':>10}{'accuracy':>11}{'ms a face':>12}")
    for row, contestant in enumerate(contestants):
        accuracy = np.mean(answers[row] == faces.label)
        took = np.median(milliseconds[row])
        print(f"{contestant.name:<28}{contestant.bytes / 1e6:>7.1f} MB{accuracy:>11.2%}{took:>12.3f}")
    print(NOTES)
    return 0


def compare(contestants: list[Contestant], faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return answers and milliseconds, both (contestants, n), for faces (n, 48, 48)."""
    answers = np.zeros((len(contestants), len(faces)), np.int64)
    milliseconds = np.zeros(answers.shape)
    for start in range(0, len(faces), TURN):
        for row, contestant in enumerate(contestants):
            for number in range(start, min(start + TURN, len(faces))):
                # Processor time: by the clock, a longer answer is interrupted more often on a busy machine.
                began = time.process_time()
                answers[row, number] = contestant.answer(faces[number])
                milliseconds[row, number] = 1e3 * (time.process_time() - began)
    return answers, milliseconds


def ours() -> list[Contestant]:
    """Open every variant of our face models, as the daemon opens them."""
    found = []
    for name in OURS:
        if not (MODELS / name).exists():
            continue
        bundle = Bundle.load(MODELS / name)
        prepare = FacePreprocessing.from_manifest(bundle.preprocessing).prepare_still
        for kind, variant in bundle.variants.items():
            model = open_model(bundle, kind, runtime="litert")
            found.append(
                Contestant(
                    f"{name} {bundle.version} {kind}",
                    variant.bytes,
                    lambda face, model=model, prepare=prepare: int(model.logits(prepare(face)).argmax()),
                )
            )
    return found


def fer() -> Contestant:
    """Open fer's TFLite model; the face is brought to it as its FER.detect_emotions does with offsets (0, 0)."""
    file = packaged("fer", "data/emotion_model_quantized.tflite")
    model = Interpreter(file, load_runtime("litert"))

    def answer(face: GrayImage) -> int:
        values = cv2.resize(face, (64, 64)).astype(np.float32)
        values = (values / 255.0 - 0.5) * 2.0
        return int(model(values[:, :, np.newaxis]).argmax())

    return Contestant(f"fer {importlib.metadata.version('fer')}", file.stat().st_size, answer)


def facex() -> Contestant:
    """Open facex's TFLite model; the face is brought to it as its EmotionClassifier.detect_emotion does.

    There scikit-image resizes; its `resize` is this `zoom`.
    """
    file = packaged("facex", "assets/model_optimized.tflite")
    model = Interpreter(file, load_runtime("litert"))
    order = [LABELS.index(label) for label in ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")]

    def answer(face: GrayImage) -> int:
        values = zoom(face / 255.0, 200 / 48, order=1, mode="mirror", grid_mode=True).astype(np.float32)
        return order[int(model(cv2.merge([values] * 3)).argmax())]

    return Contestant(f"facex {importlib.metadata.version('facex')}", file.stat().st_size, answer)


def packaged(package: str, name: str) -> Path:
    """Return the path of a file of an installed package, which is not imported: that would want TensorFlow."""
    found = importlib.util.find_spec(package)
    assert found and found.origin
    return Path(found.origin).parent / name


def processor() -> str:
    """Name the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    sys.exit(main())
