"""FER2013 as pictures in folders, as Kaggle's copies have them."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from affectd.events import LABELS
from affectd_convert.commands.main import main
from affectd_convert.datasets import fer2013
from affectd_convert.errors import DataError
from support.corpora import face, fer_folder, pointer

KAGGLE = ("angry", "disgusted", "fearful", "happy", "sad", "surprised", "neutral")
NUMBERED = ("0", "1", "2", "3", "4", "5", "6")


def test_fer2013_folders_give_the_same_record(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for label in LABELS:
            folder = tmp_path / split / label
            folder.mkdir(parents=True)
            cv2.imwrite(str(folder / "a.png"), face())
    (tmp_path / "train" / "happy" / "broken.jpg").write_bytes(b"no picture")
    (tmp_path / "train" / "happy" / "empty.jpg").write_bytes(b"")
    cv2.imwrite(str(tmp_path / "train" / "happy" / "tiny.png"), face()[:5, :5])
    (tmp_path / "train" / "contempt").mkdir()
    cv2.imwrite(str(tmp_path / "train" / "contempt" / "a.png"), face())
    faces = fer2013.read_fer2013(tmp_path)
    assert sorted(faces.split(fer2013.TRAINING).label.tolist()) == list(range(7))
    assert faces.skipped == (
        "train/contempt/, 1 file: not one of FER2013's seven labels",
        "train/happy/broken.jpg: not a readable image",
        "train/happy/empty.jpg: not a readable image",
        "train/happy/tiny.png: 5x5 pixels; too small for a face",
    )


def test_beside_a_validation_folder_the_test_folder_is_kept_apart(tmp_path: Path) -> None:
    for split in ("train", "validation", "test"):
        for label in LABELS:
            folder = tmp_path / split / label.capitalize()
            folder.mkdir(parents=True)
            cv2.imwrite(str(folder / "a.png"), face())
    assert np.bincount(fer2013.read_fer2013(tmp_path).usage).tolist() == [7, 7, 7]


@pytest.mark.parametrize(
    ("splits", "labels", "suffix", "usages"),
    [
        (("train", "test"), KAGGLE, ".png", [7, 7]),
        (("Train", "Test"), NUMBERED, ".jpg", [7, 7]),
        (
            ("training", "PublicTest", "PrivateTest"),
            tuple(f"{n}_{label}" for n, label in enumerate(KAGGLE)),
            ".png",
            [7, 7, 7],
        ),
        (
            ("train", "valid", "test"),
            ("Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise", "Neutral"),
            ".JPEG",
            [7, 7, 7],
        ),
        (("images/train", "images/validation"), LABELS, ".PNG", [7, 7]),
        (("archive/images/images/train", "archive/images/images/validation"), LABELS, ".jpg", [7, 7]),
        (("train/train", "test/test"), KAGGLE, ".jpg", [7, 7]),
        (("train_set", "test data"), KAGGLE, ".bmp", [7, 7]),
    ],
)
def test_kaggles_folders_are_read(
    tmp_path: Path, splits: tuple[str, ...], labels: tuple[str, ...], suffix: str, usages: list[int]
) -> None:
    for split in splits:
        fer_folder(tmp_path / split, labels, suffix)
    (tmp_path / splits[0] / ".DS_Store").write_bytes(b"")
    (tmp_path / splits[0] / labels[0] / "._a.png").write_bytes(b"")
    (tmp_path / splits[0] / labels[0] / "Thumbs.db").write_bytes(b"")
    assert fer2013.holds_faces(tmp_path)
    faces = fer2013.read_fer2013(tmp_path)
    assert np.bincount(faces.usage).tolist() == usages
    assert np.bincount(faces.label).tolist() == [len(splits)] * 7
    assert not faces.skipped


def test_a_picture_has_the_label_of_its_folder(tmp_path: Path) -> None:
    for n, names in enumerate(zip(KAGGLE, NUMBERED, strict=True)):
        for split, name in zip(("train", "test"), names, strict=True):
            (tmp_path / split / name).mkdir(parents=True)
            cv2.imwrite(str(tmp_path / split / name / "a.png"), np.full((48, 48), 10 * n, np.uint8))
    faces = fer2013.read_faces(tmp_path)
    assert (faces.pixels == 10 * faces.label[:, np.newaxis, np.newaxis]).all()


def test_what_test_counts_as_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for split in ("train", "test"):
        fer_folder(tmp_path / split, KAGGLE)
    assert main(["datasets", str(tmp_path)]) == 0
    assert "  test counts as PublicTest\n" in capsys.readouterr().out
    fer_folder(tmp_path / "validation", KAGGLE)
    assert main(["datasets", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "  test counts as PrivateTest, kept apart: another split is for validation\n" in said
    assert "  validation counts as PublicTest\n" in said


def test_folders_of_labels_are_the_split_that_their_folder_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for split in ("train", "test"):
        fer_folder(tmp_path / split, KAGGLE)
    assert np.bincount(fer2013.read_faces(tmp_path / "train").usage).tolist() == [7]
    assert np.bincount(fer2013.read_faces(tmp_path / "test").usage).tolist() == [0, 7]
    monkeypatch.chdir(tmp_path / "train")
    assert np.bincount(fer2013.read_faces(Path()).usage).tolist() == [7]
    fer_folder(tmp_path / "val", KAGGLE)
    assert np.bincount(fer2013.read_faces(tmp_path / "test").usage).tolist() == [0, 0, 7]
    fer_folder(tmp_path / "mine" / "faces", KAGGLE)
    with pytest.raises(DataError, match="nothing says whether they are for training or held out"):
        fer2013.read_faces(tmp_path / "mine")


def test_folders_that_are_no_label_or_split_are_said(tmp_path: Path) -> None:
    for split in ("train", "test", "extra"):
        fer_folder(tmp_path / split, (*KAGGLE, "ahegao"))
    cv2.imwrite(str(tmp_path / "train" / "ahegao" / "b.png"), face())
    assert fer2013.read_faces(tmp_path).skipped == (
        "test/ahegao/, 1 file: not one of FER2013's seven labels",
        "train/ahegao/, 2 files: not one of FER2013's seven labels",
        "extra/: not a known split",
    )


@pytest.mark.parametrize("names", [("1", "2", "3", "4", "5", "6", "7"), (*NUMBERED, "7")])
def test_numbers_that_are_not_fer2013s_are_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    fer_folder(tmp_path / "train", names)
    with pytest.raises(DataError, match=r"train: folders are numbered \d to 7; FER2013's are 0 \(angry\) to 6"):
        fer2013.read_faces(tmp_path)


def test_pointers_of_git_lfs_are_counted(tmp_path: Path) -> None:
    for label in KAGGLE:
        for n in range(3):
            pointer(tmp_path / "train" / label / f"{n}.png")
    with pytest.raises(
        DataError, match=r"no readable face; 21 files, train/angry/0\.png first: git-lfs pointer: run git"
    ):
        fer2013.read_faces(tmp_path)
    cv2.imwrite(str(tmp_path / "train" / "angry" / "0.png"), face())
    pointed = "20 files, train/angry/1.png first: git-lfs pointer: run git lfs pull"
    assert fer2013.read_faces(tmp_path).skipped == (pointed,)


def test_sounds_in_folders_of_labels_are_no_faces(tmp_path: Path) -> None:
    (tmp_path / "train" / "happy").mkdir(parents=True)
    (tmp_path / "train" / "happy" / "1001_DFA_HAP_XX.wav").write_bytes(b"")
    assert not fer2013.holds_faces(tmp_path)
