"""affectd-convert datasets: what it says of a folder of faces or of speech."""

from pathlib import Path

import pytest

from affectd_convert.commands.main import main
from affectd_convert.errors import DataError
from support.corpora import csv_row, face, fer_csv, sound


def test_the_summary_says_what_is_there_what_is_left_out_and_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("Actor_07/03-01-05-01-02-01-07.wav", "Actor_24/03-01-02-01-02-01-24.wav"):
        sound(tmp_path / name)
    for number in range(30):
        sound(tmp_path / f"other{number:02d}.wav")
    assert main(["datasets", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert (
        "RAVDESS (CC BY-NC-SA 4.0)\n  2 clips of 2 speakers: angry 1, calm 1\n  clips by speaker: 07: 1, 24: 1\n"
        in said
    )
    assert "TESS: not here\n" in said
    assert "no clip labelled disgust, fear, happy, neutral, sad, surprise" in said
    assert "folds that speakers can be held out by: 1, 3\n" in said
    assert "left out:\n  other00.wav and 29 others: not named as RAVDESS" in said


def test_the_summary_of_faces_names_an_empty_class_and_says_what_private_test_is_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = fer_csv(tmp_path / "fer2013.csv", csv_row(3, "PrivateTest", face()), "0,1 2,Training")
    assert main(["datasets", str(path)]) == 0
    said = capsys.readouterr().out
    assert "Training        7 faces: angry 1, disgust 1" in said
    assert "PrivateTest     1 faces, never used in training: angry 0" in said
    assert "PrivateTest: no face labelled angry, disgust, fear, sad, surprise, neutral" in said
    assert "left out:\n  fer2013.csv:17: 2 pixels; expected 2304" in said


def test_nothing_there_is_a_sentence_and_an_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (tmp_path / "nowhere", tmp_path / "none.csv", tmp_path):
        assert main(["datasets", str(path)]) == DataError.exit_code
        assert capsys.readouterr().err.startswith(f"affectd-convert: {path}: no ")
