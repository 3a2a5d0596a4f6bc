"""A disk that fills up in training: a sentence, the checkpoint stays whole, and the same command goes on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from affectd_convert.errors import TrainingError
from affectd_convert.training.run_folder import RunFolder

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
    assert "checkpoint.keras: cannot be written: " in said
    assert "The last checkpoint is whole: make room, and the same command goes on" in said
    assert not list((tmp_path / "run").glob(".new-*"))


class Full:
    """A network whose library says of a full disk what PyTorch's says."""

    checkpoint_name = "checkpoint.pt"

    def save(self, path: Path) -> None:
        path.write_bytes(b"half of it")
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 5882176 vs 5882064")


def test_other_words_for_a_full_disk_are_a_sentence_too(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    (tmp_path / "checkpoint.pt").write_bytes(b"the old one")
    with pytest.raises(TrainingError, match=r"checkpoint\.pt: cannot be written: .* MB are free on that disk"):
        folder.save(Full(), ROW)
    assert (tmp_path / "checkpoint.pt").read_bytes() == b"the old one"
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(TrainingError, match=r"file/run: cannot be written: Not a directory"):
        RunFolder(tmp_path / "file" / "run").claim(CONFIG)
