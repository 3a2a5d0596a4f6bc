"""FER2013 as an archive, and what holds in whatever form it comes."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from affectd.face.preprocess import FacePreprocessing
from affectd_convert.datasets import fer2013
from affectd_convert.errors import DataError
from affectd_convert.evaluation.run_data import read_run_data
from affectd_convert.training.run_folder import RunFolder
from support.corpora import csv_row, face, fer_csv, fer_folder, pointer
from support.runs import face_config


def test_a_file_that_opens_but_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "fer2013.csv"
    path.symlink_to("/proc/self/mem")
    with pytest.raises(DataError, match=r"fer2013\.csv: cannot be read: .*Input/output error"):
        fer2013.read_fer2013(path)
    (tmp_path / "faces" / "train" / "happy").mkdir(parents=True)
    (tmp_path / "faces" / "train" / "happy" / "a.png").symlink_to("/proc/self/mem")
    with pytest.raises(DataError, match=r"no readable face; train/happy/a\.png: not a readable image"):
        fer2013.read_fer2013(tmp_path / "faces")


def test_private_test_is_read_but_reaches_neither_training_nor_validation(tmp_path: Path) -> None:
    path = tmp_path / "fer2013.csv"
    private = [csv_row(k, "PrivateTest", np.full((48, 48), 250 + k % 3, np.uint8)) for k in range(7)]
    fer_csv(path, *private)
    assert len(fer2013.read_fer2013(path).split(fer2013.PRIVATE_TEST).label) == 7
    run = tmp_path / "run"
    run.mkdir()
    config = face_config(inputs=FacePreprocessing(equalize=False, mean=0.0, std=1.0))
    RunFolder(run).claim(config.to_json())
    data = read_run_data(run, path)
    assert len(data.representative) == 7
    assert len(data.held_out.truth) == 7
    for inputs in (data.representative, data.held_out.inputs):
        assert (inputs.std(axis=(1, 2, 3)) > 1).all(), "a uniform face is one of PrivateTest"


def test_a_training_face_that_is_also_in_public_test_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "fer2013.npz"
    np.savez(
        path,
        pixels=np.stack([face() for _ in range(15)]),
        label=np.array([*range(7), *range(7), 0], np.uint8),
        usage=np.array([0] * 7 + [1] * 7 + [0], np.uint8),
        ferplus=np.ones((15, 10), np.uint8),
        corr_to_public=np.array([0.5] * 14 + [0.99], np.float32),
    )
    faces = fer2013.read_fer2013(path)
    assert len(faces.label) == 14
    assert faces.skipped[0].startswith("1 training face")


def test_a_photo_of_public_test_is_found_in_training_though_moved_mirrored_or_dimmed(tmp_path: Path) -> None:
    photos = [cv2.GaussianBlur(face(), (0, 0), 3) for _ in range(4)]
    moved = np.roll(photos[0], (3, -2), (0, 1))
    dimmed_mirror = (photos[1][:, ::-1] // 2 + 30).astype(np.uint8)
    half_of_it = np.concatenate([photos[2][:24], photos[3][24:]])
    path = fer_csv(
        tmp_path / "fer2013.csv",
        *(csv_row(3, "PublicTest", photo) for photo in photos),
        *(csv_row(4, "Training", copy) for copy in (photos[0], moved, dimmed_mirror, half_of_it)),
        csv_row(5, "PrivateTest", photos[0]),
    )
    faces = fer2013.read_fer2013(path)
    assert faces.split(fer2013.TRAINING).label.tolist() == [*range(7), 4]
    assert np.array_equal(faces.split(fer2013.TRAINING).pixels[7], half_of_it)
    assert faces.split(fer2013.PUBLIC_TEST).label.tolist() == [*range(7), 3, 3, 3, 3]
    assert faces.split(fer2013.PRIVATE_TEST).label.tolist() == [5]
    assert faces.skipped == ("3 training faces left out: practically the same photo is in PublicTest",)


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 not a zip"])
def test_a_missing_or_broken_archive_is_a_sentence(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "fer2013.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"fer2013\.npz"):
        fer2013.read_fer2013(path)


def test_an_archive_damaged_inside_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "fer2013.npz"
    np.savez_compressed(path, pixels=np.stack([face() for _ in range(7)]), label=np.arange(7))
    content = bytearray(path.read_bytes())
    content[60:4000] = bytes(3940)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"fer2013\.npz: not a FER2013 archive: "):
        fer2013.read_fer2013(path)


def test_an_empty_class_is_named(tmp_path: Path) -> None:
    path = tmp_path / "fer2013.npz"
    np.savez(path, pixels=np.stack([face() for _ in range(6)]), label=np.arange(6), usage=np.zeros(6))
    with pytest.raises(DataError, match="no face labelled neutral"):
        fer2013.read_fer2013(path)


def test_a_label_must_be_in_the_training_split_itself(tmp_path: Path) -> None:
    path = tmp_path / "fer2013.npz"
    pixels, label = np.stack([face() for _ in range(13)]), np.array([*range(7), *range(6)])
    np.savez(path, pixels=pixels, label=label, usage=np.array([1] * 7 + [0] * 6))
    with pytest.raises(DataError, match="no face labelled neutral"):
        fer2013.read_fer2013(path)


def test_foreign_labels_and_wrong_sizes_of_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "fer2013.npz"
    pixels = np.stack([face() for _ in range(9)])
    np.savez(path, pixels=pixels, label=np.arange(9), usage=np.zeros(9))
    assert fer2013.read_fer2013(path).skipped == (
        "2 faces left out: label not in 0..6 or usage not in 0..2, row 7 first",
    )
    np.savez(path, pixels=pixels[:, :, :40], label=np.arange(9) % 7)
    with pytest.raises(DataError, match=r"pixels is uint8 of shape \(9, 48, 40\)"):
        fer2013.read_fer2013(path)
    np.savez(path, pixels=pixels, label=np.arange(8) % 7)
    with pytest.raises(DataError, match=r"for labels of shape \(8,\)"):
        fer2013.read_fer2013(path)
    np.savez(path, pixels=pixels, label=np.arange(9) % 7, usage=np.zeros(3))
    with pytest.raises(DataError, match="not one row for each of 9 faces"):
        fer2013.read_fer2013(path)


@pytest.mark.parametrize("form", ["fer2013.csv", "icml_face_data.csv", "two tables", "folders"])
def test_a_twin_is_left_out_in_every_form(tmp_path: Path, form: str) -> None:
    twin = cv2.GaussianBlur(face(), (0, 0), 3)
    twins = [csv_row(3, "Training", twin), csv_row(3, "PublicTest", twin)]
    if form == "fer2013.csv":
        fer_csv(tmp_path / form, *twins, header="emotion,pixels,usage")
    elif form == "icml_face_data.csv":
        fer_csv(tmp_path / form, *twins, header="emotion, pixels, USAGE ")
    elif form == "two tables":
        fer_csv(tmp_path / "train.csv", twins[0], header="emotion,pixels,set", usages=("train",))
        fer_csv(tmp_path / "test.csv", twins[1], header="emotion,pixels,set", usages=("test",))
    else:
        for split in ("train", "test"):
            fer_folder(tmp_path / split, ("0", "1", "2", "3", "4", "5", "6"))
            cv2.imwrite(str(tmp_path / split / "3" / "twin.png"), twin)
    if form == "two tables":
        tables = [tmp_path / "train.csv", tmp_path / "test.csv"]
        for table in tables:
            table.write_text(table.read_text().replace("Training", "train").replace("PublicTest", "test"))
    faces = fer2013.read_fer2013(tmp_path)
    assert np.bincount(faces.usage).tolist() == [7, 8]
    assert faces.skipped == ("1 training faces left out: practically the same photo is in PublicTest",)


@pytest.mark.parametrize("name", ["fer2013.npz", "fer2013.csv"])
def test_a_pointer_of_git_lfs_is_called_one(tmp_path: Path, name: str) -> None:
    pointer(tmp_path / name)
    with pytest.raises(DataError, match=rf"{name}: git-lfs pointer: run git lfs pull"):
        fer2013.read_faces(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("archive.zip", b"PK\x03\x04", "packed; unpack it, and name the folder"),
        ("fer2013.tar.gz", b"\x1f\x8b", "packed; unpack it"),
        # What Kaggle's downloads of a single file are.
        ("fer2013.csv", b"PK\x03\x04", "packed; unpack it"),
        ("fer2013.xlsx", b"PK\x03\x04", "a spreadsheet; save it as CSV"),
    ],
)
def test_what_is_still_packed_is_a_sentence(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content + bytes(100))
    with pytest.raises(DataError, match=rf"{name}: {said}"):
        fer2013.read_faces(tmp_path / name)


def test_an_archive_beside_nothing_is_named(tmp_path: Path) -> None:
    (tmp_path / "archive.zip").write_bytes(b"PK\x03\x04")
    with pytest.raises(DataError, match=r"no FER2013 here; archive\.zip is still packed; expected"):
        fer2013.read_faces(tmp_path)


def test_a_split_of_an_archive_under_another_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "fer2013.npz"
    arrays = {"pixels": np.stack([face() for _ in range(7)]), "label": np.arange(7)}
    np.savez(path, **arrays, Usage=np.zeros(7))
    with pytest.raises(DataError, match="Usage looks like the split; expected it as usage, 0 to 2"):
        fer2013.read_faces(path)
    np.savez(path, **arrays)
    faces = fer2013.read_faces(path)
    assert (faces.usage == fer2013.PUBLIC_TEST).all()
    assert faces.notes == ("no usage in it: all faces count as PublicTest, never trained on",)


def test_faces_are_found_some_folders_deeper_and_two_copies_are_not_guessed_between(tmp_path: Path) -> None:
    (tmp_path / "challenge" / "fer2013").mkdir(parents=True)
    fer_csv(tmp_path / "challenge" / "fer2013" / "FER2013.CSV")
    assert fer2013.holds_faces(tmp_path)
    assert len(fer2013.read_faces(tmp_path).label) == 14
    (tmp_path / "other" / "copy").mkdir(parents=True)
    fer_csv(tmp_path / "other" / "copy" / "fer2013.csv")
    with pytest.raises(DataError, match=r"faces in .*FER2013\.CSV and in .*copy/fer2013\.csv; name one of them"):
        fer2013.read_faces(tmp_path)
