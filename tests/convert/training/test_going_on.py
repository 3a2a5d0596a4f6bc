"""A run that goes on after a kill at any write, on what somebody took away or damaged, and beside another process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from affectd_convert.errors import TrainingError
from affectd_convert.training.keras_engine import KerasEngine
from affectd_convert.training.plan import Plan, Stage
from affectd_convert.training.run_folder import RunFolder

CONFIG = {"plan": "any"}
PLAN = Plan(stages=(Stage(epochs=9),), precision="float32")


def row(epoch: int) -> dict[str, float]:
    return {"epoch": epoch, "loss": 1.0, "val_loss": 1.0, "val_accuracy": 0.5, "val_uar": 0.5}


class Saving:
    """A network, or a finished model, that writes one word."""

    suffix = ".pt"

    def __init__(self, word: object) -> None:
        self._word = word

    def save(self, path: Path) -> None:
        path.write_text(str(self._word))


def claimed(path: Path) -> RunFolder:
    folder = RunFolder(path)
    folder.claim(CONFIG)
    return folder


KILLED = """
import os, signal, sys
from pathlib import Path
from test_going_on import Saving, claimed, row

run, rename = Path(sys.argv[1]), Path.replace
claimed(run).save(Saving(1), row(1))
# An epoch is four files: checkpoint, state, history, curves; a kill before each is renamed, or right after it was.
for number, after in ((0, False), (1, False), (1, True), (2, False), (3, False)):
    if not os.fork():
        left = number
        def replace(path, target):
            global left
            if not left and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            rename(path, target)
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
        Path.replace = replace
        folder = claimed(run)
        folder.save(Saving(len(folder.rows) + 1), row(len(folder.rows) + 1))
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.wait()[1]) == -signal.SIGKILL
    folder = claimed(run)
    print(len(folder.rows), folder.checkpoint.read_text())
    del folder  # and its lock
"""


def test_a_kill_at_any_write_leaves_an_epoch_whole_or_not_taken_in(tmp_path: Path) -> None:
    claimed(tmp_path)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    told = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    # Epochs that stand, and the checkpoint's own word.
    assert told.splitlines() == ["1 1", "1 1", "2 2", "3 3", "4 4"]
    folder = claimed(tmp_path)
    folder.save(Saving(5), row(5))
    assert [path.name for path in tmp_path.glob("checkpoint*")] == ["checkpoint-5.pt"]
    assert len((tmp_path / "history.csv").read_text().splitlines()) == 1 + 5


def test_a_finished_run_has_its_course_though_the_disk_was_full_after_the_last_epoch(tmp_path: Path) -> None:
    folder = claimed(tmp_path)
    folder.save(Saving(1), row(1))
    (tmp_path / ".new-history.csv").mkdir()
    with pytest.raises(TrainingError, match=r"history\.csv: cannot be written"):
        folder.save(Saving(2), row(2))
    (tmp_path / ".new-history.csv").rmdir()
    again = claimed(tmp_path)
    assert len(again.rows) == 2
    again.finish(Saving("the model"))
    assert len((tmp_path / "history.csv").read_text().splitlines()) == 1 + 2
    assert (tmp_path / "model.keras").read_text() == "the model"


def small_network(units: int = 5) -> Any:
    import keras

    return keras.Sequential([keras.Input((8,)), keras.layers.Dense(units), keras.layers.Dense(3)])


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[:1000] + bytes(len(whole) - 1000),
        lambda whole: b"no checkpoint at all",
    ],
    ids=["empty", "cut", "zeros", "rubbish"],
)
def test_a_damaged_checkpoint_is_a_sentence(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    checkpoint = tmp_path / "checkpoint-1.keras"
    KerasEngine(small_network, PLAN, None).save(checkpoint)
    checkpoint.write_bytes(damage(checkpoint.read_bytes()))
    with pytest.raises(
        TrainingError, match=r"checkpoint-1\.keras: cannot be read: .*; remove the run's folder"
    ) as said:
        KerasEngine(small_network, PLAN, checkpoint)
    assert "\n" not in str(said.value)


def test_the_checkpoint_of_another_network_is_a_sentence(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint-1.keras"
    KerasEngine(small_network, PLAN, None).save(checkpoint)
    with pytest.raises(TrainingError, match=r"checkpoint-1\.keras: cannot be read: ") as said:
        KerasEngine(lambda: small_network(6), PLAN, checkpoint)
    assert "\n" not in str(said.value)


def test_a_checkpoint_that_was_taken_away_is_a_sentence(tmp_path: Path) -> None:
    claimed(tmp_path)
    (tmp_path / "state.json").write_text(json.dumps([row(1), row(2)]))
    with pytest.raises(TrainingError, match="the checkpoint of epoch 2 is not there; remove the folder to begin anew"):
        _ = claimed(tmp_path).checkpoint


HOLDER = """
import sys
from pathlib import Path
from affectd_convert.training.run_folder import RunFolder
folder = RunFolder(Path(sys.argv[1]))
folder.claim({"plan": "any"})
print("claimed", flush=True)
sys.stdin.read()
"""


def test_two_processes_do_not_train_in_one_folder(tmp_path: Path) -> None:
    claimed(tmp_path / "run")
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "run")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "claimed\n"
        with pytest.raises(TrainingError, match="run: another process trains it at this moment; wait for it, or stop"):
            claimed(tmp_path / "run")
        holder.kill()
    claimed(tmp_path / "run")
