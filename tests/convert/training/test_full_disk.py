"""A disk that fills up: a sentence, the checkpoint stays whole, and the same command goes on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from affectd.face.preprocess import FacePreprocessing
from affectd_convert.commands.main import main
from affectd_convert.errors import DISK_EXIT_CODE, TrainingError
from affectd_convert.training.run_config import DataUsed
from affectd_convert.training.run_folder import RunFolder
from support.runs import face_config

pytestmark = pytest.mark.timeout(300)

CONFIG = {"plan": "any"}
ROW = {"epoch": 1, "loss": 1.0, "val_loss": 1.0, "val_accuracy": 0.5, "val_uar": 0.5}
PROGRAM = """
import json, resource, sys
from pathlib import Path
import numpy as np
import keras
from affectd_convert.errors import TrainingError
from affectd_convert.training.keras_engine import KerasEngine
from affectd_convert.training.plan import Plan, Stage
from affectd_convert.training.run_folder import RunFolder

def build():
    return keras.Sequential([keras.Input((8,)), keras.layers.Dense(4000), keras.layers.Dense(3)])

plan = Plan(stages=(Stage(epochs=9),), precision="float32")
row = json.loads(sys.argv[2])
folder = RunFolder(Path(sys.argv[1]))
folder.claim({"plan": "any"})
network = KerasEngine(build, plan, None)
x, y = np.ones((4, 8), np.float32), np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
network.step(x, y, 0.01)
folder.save(network, row)
kept = network.logits(x)
# No file may grow beyond half a checkpoint: every write past it fails, as on a full disk.
half = folder.checkpoint.stat().st_size // 2
resource.setrlimit(resource.RLIMIT_FSIZE, (half, resource.RLIM_INFINITY))
network.step(x, y, 0.01)
try:
    folder.save(network, row)
except TrainingError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
again = RunFolder(folder.path)
again.claim({"plan": "any"})
assert len(again.rows) == 1
np.testing.assert_array_equal(KerasEngine(build, plan, again.checkpoint).logits(x), kept)
"""


def test_the_checkpoint_survives_a_write_that_fails(tmp_path: Path) -> None:
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", PROGRAM, tmp_path / "run", json.dumps(ROW)]
    said = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True, timeout=250).stdout
    assert "checkpoint-2.keras: cannot be written: " in said
    assert "The last checkpoint is whole: make room, and the same command goes on" in said
    assert not list((tmp_path / "run").glob(".new-*"))


class Full:
    """A network whose library says of a full disk what PyTorch's says."""

    suffix = ".pt"

    def save(self, path: Path) -> None:
        path.write_bytes(b"half of it")
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 5882176 vs 5882064")


def test_other_words_for_a_full_disk_are_a_sentence_too(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    (tmp_path / "checkpoint.pt").write_bytes(b"the old one")
    with pytest.raises(TrainingError, match=r"checkpoint-1\.pt: cannot be written: .* MB are free on that disk"):
        folder.save(Full(), ROW)
    assert (tmp_path / "checkpoint.pt").read_bytes() == b"the old one"
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(TrainingError, match=r"file/run: cannot be written: Not a directory"):
        RunFolder(tmp_path / "file" / "run").claim(CONFIG)


class Counting:
    """A network whose checkpoint says how often it was saved."""

    suffix = ".pt"

    def __init__(self) -> None:
        self.saved = 0

    def save(self, path: Path) -> None:
        self.saved += 1
        path.write_text(str(self.saved))


def claimed(path: Path) -> RunFolder:
    folder = RunFolder(path)
    folder.claim(CONFIG)
    return folder


def test_an_epoch_counts_with_its_checkpoint_or_not_at_all(tmp_path: Path) -> None:
    folder, network = claimed(tmp_path), Counting()
    folder.save(network, ROW)
    (tmp_path / ".new-state.json").mkdir()
    with pytest.raises((TrainingError, OSError)):
        folder.save(network, ROW)
    (tmp_path / ".new-state.json").rmdir()
    again = claimed(tmp_path)
    assert len(again.rows) == 1
    assert again.checkpoint.read_text() == "1"
    again.save(network, ROW)
    assert claimed(tmp_path).checkpoint.read_text() == "3"
    assert [path.name for path in tmp_path.glob("checkpoint*")] == ["checkpoint-2.pt"]


def test_a_checkpoint_without_a_number_is_gone_on_from(tmp_path: Path) -> None:
    claimed(tmp_path)
    (tmp_path / "checkpoint.pt").write_text("of an older run")
    (tmp_path / "state.json").write_text(json.dumps([ROW]))
    folder = claimed(tmp_path)
    assert folder.checkpoint.read_text() == "of an older run"
    folder.save(Counting(), {**ROW, "epoch": 2})
    assert [path.name for path in tmp_path.glob("checkpoint*")] == ["checkpoint-2.pt"]


def test_a_folder_in_the_way_of_any_step_is_a_sentence(
    face_model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.keras").write_bytes(face_model.model.read_bytes())
    used = DataUsed(training="FER2013 Training, 14 faces", validation="FER2013 PublicTest, 14 faces")
    RunFolder(tmp_path).claim(face_config(inputs=FacePreprocessing(size=24), data=used).to_json())
    pixels = np.random.default_rng(0).integers(0, 256, (28, 48, 48), dtype=np.uint8)
    np.savez(tmp_path / "faces.npz", pixels=pixels, label=np.tile(np.arange(7), 4), usage=np.repeat([0, 1], 14))
    sources = ["--run", str(tmp_path), "--data", str(tmp_path / "faces.npz")]
    assert main(["quantize", *sources, "--out", str(tmp_path / "config.json" / "tflite")]) == DISK_EXIT_CODE
    said = capsys.readouterr().err
    assert said.startswith(f"affectd-convert: {tmp_path}/config.json/tflite: Not a directory; ")
    assert said.endswith("and the same command goes on\n")
