"""What needs no PyTorch of training on a rented GPU; the whole way is walked by scripts/prove-train-on-gpu."""

import io
import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from affectd_convert.architectures.catalogue import FACE
from affectd_convert.datasets.fer2013 import PRIVATE_TEST, PUBLIC_TEST, TRAINING, read_fer2013
from affectd_convert.errors import TrainingError
from affectd_convert.training.on_gpu import parts, schedule
from affectd_convert.training.on_gpu.command import main
from affectd_convert.training.on_gpu.learnt import write_learnt
from affectd_convert.training.on_gpu.pack import pack, read_pack
from affectd_convert.training.on_gpu.stand import STATE, Recipe, claim, go_on_from
from affectd_convert.training.plan import Plan
from affectd_convert.training.run_config import DataUsed, commands_of, read_config

RECIPE = Recipe(networks=("vgg16-fast",), command="scripts/train-on-gpu train --data . --out out")
COURSES = schedule.courses_of(("vgg16", "vgg16-slim", "vgg16-fast"), ("vgg16",), 3)
RATES = schedule.Rates(train={"vgg16": 3e-5, "vgg16-slim": 2e-5, "vgg16-fast": 1e-5}, answer={"vgg16": 1e-5}, view=1e-6)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return an npz with faces of every label in each split, one of whose training faces has a twin in PublicTest."""
    usage = np.repeat([TRAINING, PUBLIC_TEST, PRIVATE_TEST], 70)
    rng = np.random.default_rng(3)
    twin = np.where(np.arange(210) == 9, 0.99, 0.1)
    np.savez(
        path := tmp_path / "fer2013.npz",
        pixels=rng.integers(0, 256, (210, 48, 48), np.uint8),
        label=np.arange(210) % 7,
        usage=usage,
        ferplus=rng.integers(0, 5, (210, 10), np.uint8),
        corr_to_public=twin,
    )
    return path


def test_a_pack_holds_the_faces_as_they_are_without_twins_and_without_private_test(data: Path, tmp_path: Path) -> None:
    pack(data, folder := tmp_path / "pack")
    packed, read = read_pack(folder), read_fer2013(data)
    for split, usage in ((packed.training, TRAINING), (packed.validation, PUBLIC_TEST)):
        wanted = read.split(usage)
        for name in ("pixels", "label", "usage", "votes"):
            np.testing.assert_array_equal(getattr(split, name), getattr(wanted, name))
    assert packed.used.training == "FER2013 Training, 69 faces"
    assert packed.used.left_out == tuple(read.skipped) != ()
    with np.load(io.BytesIO(parts.read_parts(folder, "faces"))) as inside:
        assert set(inside["usage"]) == {TRAINING, PUBLIC_TEST}


def test_a_pack_runs_where_nothing_is_installed(data: Path, tmp_path: Path) -> None:
    pack(data, folder := tmp_path / "pack")
    # NumPy and OpenCV lie beside much that is not on the other machine.
    (only := tmp_path / "site").mkdir()
    for name in ("numpy", "cv2"):
        (only / name).symlink_to(Path(str(sys.modules[name].__file__)).parent)
    for libraries in Path(str(np.__file__)).parents[1].glob("*.libs"):
        (only / libraries.name).symlink_to(libraries)
    run = [sys.executable, "-S", "scripts/train-on-gpu", "train", "--data", "."]
    bare = {"PYTHONPATH": str(only), "PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    told = subprocess.run([*run, "--estimate"], cwd=folder, env=bare, capture_output=True, text=True, check=False)
    assert "taught: 69 x 300 x 0.61 x 2 x (3 x 1.2" in told.stdout, told.stderr
    refused = subprocess.run([*run, "--out", "out"], cwd=folder, env=bare, capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stdout) == (8, "")
    assert refused.stderr == "train-on-gpu: PyTorch is not installed here; 'pip install torch'\n"


def test_parts_are_under_16_mb_and_joined_again(tmp_path: Path) -> None:
    content = np.random.default_rng(0).bytes(parts.PART + 5)
    parts.write_parts(tmp_path, "taught", b"before", {})
    parts.write_parts(tmp_path, "taught", content, {"epochs": 3})
    files = sorted(tmp_path.iterdir())
    assert [file.suffix for file in files] == [".00", ".01", ".json"]
    assert all(file.stat().st_size < 16e6 for file in files)
    assert parts.read_parts(tmp_path, "taught") == content
    assert parts.about(tmp_path, "taught") == {"epochs": 3}


def test_a_part_that_is_missing_or_not_the_one_is_named(tmp_path: Path) -> None:
    parts.write_parts(tmp_path, "taught", b"weights", {})
    (part,) = tmp_path.glob("*.00")
    part.write_bytes(b"weighty")
    with pytest.raises(TrainingError, match=rf"{part.name}: not the file that was written .*copy it again"):
        parts.read_parts(tmp_path, "taught")
    part.unlink()
    with pytest.raises(TrainingError, match=rf"{part.name}: No such file.*copy all 1 files that taught.json lists"):
        parts.read_parts(tmp_path, "taught")
    (tmp_path / "taught.json").write_text("[]")
    with pytest.raises(TrainingError, match=r"taught.json: not an index of parts"):
        parts.read_parts(tmp_path, "taught")
    with pytest.raises(TrainingError, match=r"faces.json: is not there; copy it"):
        read_pack(tmp_path)


def test_a_full_disk_leaves_what_was_there_before(tmp_path: Path) -> None:
    program = f"""
import resource
from pathlib import Path
from affectd_convert.training.on_gpu import parts
folder = Path({str(tmp_path)!r})
parts.write_parts(folder, "state", b"before", {{}})
# No file may grow further, as on a full disk.
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    parts.write_parts(folder, "state", bytes(5000), {{}})
except parts.TrainingError as error:
    print(error)
assert parts.read_parts(folder, "state") == b"before"
"""
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run([sys.executable, "-c", program], env=paths, capture_output=True, text=True, check=True)
    assert "state cannot be written: File too large" in ended.stdout
    assert "the same command goes on" in ended.stdout


def test_epochs_are_cut_to_the_seconds_there_are() -> None:
    faces = 28_000
    whole = sum(300 * RATES.epoch_s(course, faces, 300) for course in COURSES)
    assert schedule.fitting(300, COURSES, RATES, faces, whole + 1) == 300
    assert schedule.fitting(300, COURSES, RATES, faces, whole / 2) == 150
    with pytest.raises(TrainingError, match=r"2 s are too few: an epoch of every course takes \d\.\d s here; give"):
        schedule.fitting(300, COURSES, RATES, faces, 2.0)


@pytest.mark.parametrize("epochs", [1, 2, 7, 300])
def test_pictures_grow_over_the_epochs_planned(epochs: int) -> None:
    stages = schedule.stages_of(epochs)
    assert sum(stage.epochs for stage in stages) == epochs
    sizes = [stage.size for stage in stages for _ in range(stage.epochs)]
    assert sizes == sorted(sizes)
    assert epochs < 7 or sizes[-1] == 48
    assert [schedule.size_at(part) for part in (0.0, 0.5, 0.99, 1.0)] == [24, 40, 48, 48]


@pytest.mark.parametrize("name", ["vgg16-slim", "vgg16-fast"])
def test_networks_are_counted_as_keras_has_them(name: str) -> None:
    model = FACE[name].build(7)
    assert schedule.parameters(name) == model.count_params()
    assert {layer.rate for layer in model.layers if hasattr(layer, "rate")} == {schedule.DROPOUT[name]}
    sides = {layer.name: layer.output.shape[1] for layer in model.layers if "conv" in layer.name}
    convolved = sum(
        int(np.prod(layer.kernel.shape)) * sides[layer.name] ** 2
        for layer in model.layers
        if type(layer).__name__ == "Conv2D"
    )
    dense = sum(int(np.prod(layer.kernel.shape)) for layer in model.layers if type(layer).__name__ == "Dense")
    assert schedule.macs(name) == convolved + dense


def test_the_estimate_shows_what_it_is_reckoned_by() -> None:
    *_, taught, together = schedule.estimate(COURSES, 27_875, 300)
    # 27,875 faces, 300 epochs, 0.704 GMAC forward, three passes, two operations each, at 22 % of 990 TFLOP/s.
    assert together.endswith("300 epochs of vgg16 alone, all at 48x48: 162 s")
    assert "27875 x 300 x 0.61 x 2 x (3 x 1.2" in taught
    assert 8 < float(together.split()[1]) < 11


def test_a_training_of_other_faces_or_other_options_is_not_gone_on_with(tmp_path: Path) -> None:
    parts.write_parts(tmp_path, STATE, b"", asdict(claim(tmp_path, RECIPE, "1234")))
    assert claim(tmp_path, replace(RECIPE, minutes=3.0), "1234").command == RECIPE.command
    with pytest.raises(TrainingError, match=r"holds another training: faces is 1234 there, 5678 asked for; take"):
        claim(tmp_path, RECIPE, "5678")
    with pytest.raises(TrainingError, match=r"holds another training: augmentation.mixup is 0.2 there"):
        claim(tmp_path, replace(RECIPE, mixup=0.5), "1234")


def test_a_training_is_gone_on_with_on_another_machine(tmp_path: Path) -> None:
    begun, out = tmp_path / "begun", tmp_path / "out"
    with pytest.raises(TrainingError, match=r"begun: no state.json there; name the folder that was --out"):
        go_on_from(begun, out)
    for name in ("taught", STATE, "vgg16-seed1"):
        parts.write_parts(begun, name, name.encode(), {})
    (begun / ".new-taught.json").write_text("{")
    go_on_from(begun, out)
    assert {name: parts.read_parts(out, name).decode() for name in parts.names_in(out)} == {
        name: name for name in (STATE, "taught", "vgg16-seed1")
    }
    next(begun.glob("taught-*")).unlink()
    go_on_from(begun, out)
    with pytest.raises(TrainingError, match=r"taught-.*: No such file"):
        go_on_from(begun, fresh := tmp_path / "fresh")
    assert not parts.is_there(fresh, STATE)


def test_too_little_disk_is_said_before_anything_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "free", lambda _: 5_000_000)
    with pytest.raises(TrainingError, match=r"5 MB are free on that disk, 4\d MB are needed; make room"):
        claim(tmp_path, replace(RECIPE, ensemble=("vgg16-fast",)), "1234")


def test_what_comes_back_becomes_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = FACE["vgg16-fast"].network()
    weights = {
        f"{number:03d}.{k}": values.astype(np.float16 if values.ndim > 1 else np.float32)
        for number, layer in enumerate(layer for layer in network.layers if layer.weights)
        for k, values in enumerate(layer.get_weights())
    }
    told = {
        "networks": ["vgg16-fast"],
        "plan": asdict(Plan(stages=schedule.stages_of(9), engine="torch")),
        "data": asdict(DataUsed(training="FER2013 Training, 69 faces", validation="FER2013 PublicTest, 70 faces")),
        "augmentation": {},
        "command": RECIPE.command,
    }
    row = {"epoch": 9, "loss": 1.0, "val_loss": 1.1, "val_accuracy": 0.7, "val_uar": 0.6}
    about = {**told, "taught_by": [told], "rows": {"vgg16-fast": [row]}, "log": ["taught: trained"]}
    write_learnt(out := tmp_path / "out", "taught", {"vgg16-fast": weights}, about)
    run = tmp_path / "run"
    asked = ["take", str(out), "--network", "vgg16-fast", "--run", str(run)]
    assert main(asked) == 0
    import keras

    taken = keras.models.load_model(run / "model.keras", compile=False)
    faces = np.random.default_rng(0).standard_normal((4, 48, 48, 1)).astype(np.float32)
    np.testing.assert_allclose(taken(faces), network(faces), atol=0.01)
    config = read_config(run)
    assert (config.architecture, config.plan.epochs, config.taught) == ("vgg16-fast", 9, True)
    assert [teacher["architecture"] for teacher in config.teachers] == ["vgg16-fast"]
    assert commands_of(run) == [RECIPE.command]
    assert (run / "history.csv").read_text().splitlines()[1] == "9,1.0,1.1,0.7,0.6"
    assert (run / "log.txt").read_text() == "taught: trained\n"
    (run / "config.json").write_text(json.dumps({**json.loads((run / "config.json").read_text()), "taught": False}))
    assert main(asked) == 8
    assert "holds another run: taught is False there, True asked for" in capsys.readouterr().err
    assert main([*asked[:3], "vgg16", *asked[4:]]) == 8
    assert "taught has no vgg16; it has vgg16-fast" in capsys.readouterr().err
