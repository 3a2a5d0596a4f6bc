"""The table of all networks: what ships is measured as it is, what is done is kept, what fails is said."""

import json
from pathlib import Path

import pytest

from affectd.inference.installed import installed_models
from affectd_convert.errors import DataError, TrainingError
from affectd_convert.papers import networks


def command(run: Path, *more: str) -> int:
    return networks.main(["--data", str(run / "no-data"), "--run", str(run), *more])


def test_what_ships_has_its_bundles_figures_and_of_a_voice_the_folds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shipped = ("--shipped", str(installed_models()))
    assert command(tmp_path, *shipped, "--only", "cnn-lstm", "vgg16-slim") == 0
    head, _, *lines = capsys.readouterr().out.splitlines()
    face, voice = networks.read_rows(tmp_path)
    for row, folder in ((face, "face-vgg16-slim"), (voice, "voice-cnn-lstm/folds/fold3")):
        manifest = json.loads((installed_models() / folder / "manifest.json").read_text())
        figures = manifest["metrics"][0]
        assert (row.accuracy, row.uar, row.split) == (figures["accuracy"], figures["uar"], figures["split"])
        assert (row.variant, row.bytes) == ("int8", manifest["variants"]["int8"]["bytes"])
    assert "actors 08, 17, 21, 23, 24" in voice.split
    assert voice.epochs == 250
    # With those of the runs that led to it.
    assert face.epochs > 100
    assert (face.parameters, len(lines)) == (pytest.approx(6_796_359, rel=0.01), 2)
    assert head.endswith(f"| ms, {' / '.join(face.milliseconds)} |")
    # Kept: there is nothing to make them of.
    assert command(tmp_path, "--only", "vgg16-slim") == 0
    assert capsys.readouterr().out.splitlines()[2:] == lines


def test_a_step_that_fails_and_a_foreign_row_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(tmp_path, "--only", "simple-cnn", "--epochs", "simple-cnn=1") == TrainingError.exit_code
    assert "affectd-convert train ended with exit code 5" in capsys.readouterr().err
    row = tmp_path / "voice-mlp" / "row.json"
    row.parent.mkdir()
    row.write_text('{"name": "mlp"}')
    assert command(tmp_path, "--only", "mlp") == DataError.exit_code
    assert f"{row}: not a row of this program" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["cnn", "cnn=0", "unknown=3", "cnn=x"])
def test_epochs_that_cannot_be_meant_are_refused(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command(tmp_path, "--epochs", text)
    assert f"'{text}': expected NAME=N such as simple-cnn=6" in capsys.readouterr().err
