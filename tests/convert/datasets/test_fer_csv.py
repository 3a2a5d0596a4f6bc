"""FER2013 as a table in the forms that people have: other headers, delimiters, splits; and what is refused."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from affectd.events import LABELS
from affectd_convert.commands.main import main
from affectd_convert.datasets import fer2013
from affectd_convert.errors import DataError
from support.corpora import csv_row, face, fer_csv


def test_fer2013_csv_gives_every_split_and_names_broken_rows(tmp_path: Path) -> None:
    path = fer_csv(
        tmp_path / "fer2013.csv",
        "3,1 2 3,Training",
        csv_row("9x", "Training", face()),
        csv_row(7, "Training", face()),
        csv_row(1, "Elsewhere", face()),
        csv_row(1, "Training", face().astype(int) + 256),
        "2",
        csv_row(1, "Training", face())[:5000],
        f"1,{9**30} 2,Training",
    )
    faces = fer2013.read_fer2013(path)
    assert faces.split(fer2013.TRAINING).label.tolist() == list(range(7))
    assert faces.split(fer2013.PUBLIC_TEST).pixels.shape == (7, 48, 48)
    assert [sentence.split(":")[1] for sentence in faces.skipped] == [str(line) for line in range(16, 24)]
    assert "fer2013.csv:16: 3 pixels; expected 2304" in faces.skipped
    assert "fer2013.csv:18: emotion '7'; expected 0..6" in faces.skipped
    assert "expected 0..255" in faces.skipped[4]
    assert faces.skipped[7] == "fer2013.csv:23: a pixel of more digits than a number holds; expected 0..255"


def test_the_newer_csv_has_blanks_and_another_order_in_its_header(tmp_path: Path) -> None:
    rows = [f"{k},Training,{' '.join(map(str, face().ravel()))}" for k in range(7)]
    (tmp_path / "icml_face_data.csv").write_text("\n".join(["emotion, Usage, pixels", *rows]) + "\n")
    faces = fer2013.read_fer2013(tmp_path)
    assert faces.split(fer2013.TRAINING).label.tolist() == list(range(7))
    assert not faces.skipped


def test_a_csv_of_something_else_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "fer2013.csv"
    path.write_text("name,age\nx,3\n")
    with pytest.raises(DataError, match=r"fer2013\.csv: columns are name, age; expected emotion, pixels and Usage"):
        fer2013.read_fer2013(path)


USAGES = ["Training"] * 7 + ["PublicTest"] * 7 + ["PrivateTest"] * 7
FACES = np.stack([face() for _ in USAGES])
PIXELS = [" ".join(map(str, one.ravel())) for one in FACES]
NUMBERS = [n % 7 for n in range(21)]
Columns = dict[str, list[object]]


def table(columns: Columns, delimiter: str = ",", quoting: int = csv.QUOTE_MINIMAL) -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting)  # type: ignore[arg-type]
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()


def columns(emotion: str = "emotion", pixels: str = "pixels", usage: str = "Usage") -> Columns:
    return {emotion: list(NUMBERS), pixels: list(PIXELS), usage: list(USAGES)}


def other_splits(training: str, public: str, private: str) -> Columns:
    words = {"Training": training, "PublicTest": public, "PrivateTest": private}
    return {**columns(), "Usage": [words[usage] for usage in USAGES]}


def many_columns() -> Columns:
    pixels = {f"pixel_{n}": [one.ravel()[n] for one in FACES] for n in reversed(range(2304))}
    return {"emotion": list(NUMBERS), "usage": list(USAGES), **pixels}


FORMS: dict[str, Callable[[], bytes]] = {
    "usage": lambda: table(columns(usage="usage")).encode(),
    "capitals and blanks": lambda: table(columns(" EMOTION", "Pixels ", "USAGE ")).encode(),
    "quoted": lambda: table(columns(), quoting=csv.QUOTE_ALL).encode(),
    "quoted, blanks before": lambda: table(columns(), quoting=csv.QUOTE_ALL).replace(',"', ', "').encode(),
    "byte order mark, quoted": lambda: table(columns(), quoting=csv.QUOTE_ALL).encode("utf-8-sig"),
    "semicolons": lambda: table(columns(usage="usage"), ";").encode(),
    "Excel's line": lambda: b"sep=;\n" + table(columns(), ";").encode(),
    "tabs": lambda: table(columns(), "\t").encode(),
    "Excel's Unicode text": lambda: table(columns(), "\t").encode("utf-16"),
    "another order, an index": lambda: table({"": list(range(21)), **dict(reversed(columns().items()))}).encode(),
    "split": lambda: table(columns(usage="split")).encode(),
    "data_set": lambda: table(columns(usage="data_set")).encode(),
    "a name of no meaning": lambda: table(columns(usage="x")).encode(),
    "train, val, test": lambda: table(other_splits("train", "val", "test")).encode(),
    "public_test": lambda: table(other_splits("TRAINING", "public_test", "private test")).encode(),
    "validation beside testing": lambda: table(other_splits("Train", "Validation", "Testing")).encode(),
    "labels' names": lambda: table({**columns(), "emotion": [LABELS[n].capitalize() for n in NUMBERS]}).encode(),
    "floats": lambda: table({**columns(), "emotion": [float(n) for n in NUMBERS]}).encode(),
    "commas": lambda: table({**columns(), "pixels": [one.replace(" ", ",") for one in PIXELS]}).encode(),
    "lists": lambda: table({**columns(), "pixels": [f"[{one.replace(' ', ', ')}]" for one in PIXELS]}).encode(),
    "a column for each pixel": lambda: table(many_columns()).encode(),
    "old Mac's lines": lambda: table(columns()).replace("\r\n", "\r").encode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_table_gives_the_same_faces(tmp_path: Path, form: str) -> None:
    path = tmp_path / "Faces.CSV"
    path.write_bytes(FORMS[form]())
    faces = fer2013.read_faces(path)
    assert faces.usage.tolist() == [0] * 7 + [1] * 7 + [2] * 7
    assert faces.label.tolist() == NUMBERS
    assert np.array_equal(faces.pixels, FACES)
    assert not faces.skipped


@pytest.mark.parametrize("name", ["angry", "Anger", "disgusted", "FEARFUL", "Happiness", "sadness", "surprised"])
def test_a_label_may_have_another_form_of_its_name(tmp_path: Path, name: str) -> None:
    path = fer_csv(tmp_path / "fer2013.csv", csv_row(name, "Training", face()), csv_row("contempt", "Training", face()))
    faces = fer2013.read_faces(path)
    assert LABELS[faces.label[-1]][:3] == name.lower()[:3]
    assert faces.skipped == (
        "fer2013.csv:17: emotion 'contempt'; expected one of angry, disgust, fear, happy, sad, surprise, neutral",
    )


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"fold": [n % 5 for n in range(21)]},
            "column fold looks like the split and its values are 0, 1, 2, 3, 4; exp",
        ),
        (
            {"is_train": ["True"] * 21},
            "column is_train looks like the split and its values are True; expected Training",
        ),
        ({"dataset": ["FER2013"] * 21}, "column dataset looks like the split and its values are FER2013"),
        ({"Usage": USAGES, "usage_2": USAGES}, "columns Usage and usage_2 both look like the split; keep the one"),
        ({"": USAGES, "phase": USAGES}, "columns no 3 and phase both look like the split"),
        ({}, "no column says which faces are for training and which are held out; add a column Usage"),
        ({"source": ["web"] * 21}, "no column says which faces are for training"),
    ],
)
def test_a_split_that_is_not_understood_is_refused(tmp_path: Path, changed: Columns, said: str) -> None:
    path = tmp_path / "fer2013.csv"
    path.write_text(table({"emotion": list(NUMBERS), "pixels": list(PIXELS), **changed}))
    with pytest.raises(DataError, match=rf"fer2013\.csv: {said}"):
        fer2013.read_faces(path)


def test_a_row_of_unknown_split_is_in_none(tmp_path: Path) -> None:
    path = fer_csv(
        tmp_path / "fer2013.csv",
        csv_row(1, "", face()),
        csv_row(1, "Elsewhere", face()),
        csv_row(1, "Training,PublicTest", face()),
    )
    faces = fer2013.read_faces(path)
    assert np.bincount(faces.usage).tolist() == [7, 7]
    assert faces.skipped == (
        "fer2013.csv:16: Usage ''; expected Training, PublicTest, PrivateTest",
        "fer2013.csv:17: Usage 'Elsewhere'; expected Training, PublicTest, PrivateTest",
        "fer2013.csv:18: 4 fields for 3 columns",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"0,{PIXELS[0]},Training\n", "the first line, with Training, is no header; expected emotion,pixels,Usage"),
        (f"pixels\n{PIXELS[0]}\n", "no column emotion: faces without labels, as Kaggle's test"),
        ("", "columns are none; expected emotion, pixels and Usage"),
        (f"label,pixels,Usage\n0,{PIXELS[0]},Training\n", "no column emotion"),
        (
            "emotion,pixels,Usage\n" + "\n".join(csv_row(n, "Training", FACES[n]) for n in range(1, 8)),
            r"emotions are numbered from 1 to 7; FER2013's are 0 \(angry\) to 6 \(neutral\)",
        ),
    ],
)
def test_what_is_no_table_of_fer2013_is_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "faces.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=rf"faces\.csv: {said}"):
        fer2013.read_faces(path)


def test_tables_called_train_and_test_are_those_splits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    split = {"train.csv": 0, "test.csv": 7}
    for name, first in split.items():
        rows = {column: values[first : first + 7] for column, values in columns().items() if column != "Usage"}
        (tmp_path / name).write_text(table(rows))
    faces = fer2013.read_fer2013(tmp_path)
    assert sorted(zip(faces.usage.tolist(), faces.label.tolist(), strict=True)) == [
        (usage, label) for usage in (0, 1) for label in range(7)
    ]
    assert (fer2013.read_faces(tmp_path / "train.csv").usage == fer2013.TRAINING).all()
    (tmp_path / "val.csv").write_text((tmp_path / "test.csv").read_text())
    assert np.bincount(fer2013.read_faces(tmp_path).usage).tolist() == [7, 7, 7]
    (tmp_path / "val.csv").unlink()
    # Kaggle's own test.csv has no labels.
    (tmp_path / "test.csv").write_text(table({"pixels": list(PIXELS)}))
    assert main(["datasets", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "Training        7 faces: angry 1" in said
    assert "test.csv: no column emotion: faces without labels, as Kaggle's test.csv" in said


def test_a_test_table_with_a_column_of_its_own_is_kept_apart_beside_a_validation_table(tmp_path: Path) -> None:
    for name in ("train", "val", "test"):
        (tmp_path / f"{name}.csv").write_text(table(other_splits(name, name, name)))
    faces = fer2013.read_faces(tmp_path)
    assert np.bincount(faces.usage).tolist() == [21, 21, 21]
    assert faces.notes == (
        "test counts as PrivateTest, kept apart: another split is for validation",
        "val counts as PublicTest",
    )


def ferplus(path: Path, usages: list[str], favourites: list[int]) -> None:
    names = ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF"]
    order = [6, 3, 5, 4, 0, 1, 2]
    rows = [
        [usage, f"fer{n:07}.png", *(8 if label == favourite else 0 for label in order), 1, 1, 0]
        for n, (usage, favourite) in enumerate(zip(usages, favourites, strict=True))
    ]
    path.write_text("\n".join(",".join(map(str, row)) for row in [["Usage", "Image name", *names], *rows]) + "\n")


def test_votes_of_ferplus_beside_the_table_are_joined_row_by_row(tmp_path: Path) -> None:
    path, votes = tmp_path / "fer2013.csv", tmp_path / "fer2013new.csv"
    rows = columns()
    rows["pixels"][2] = "1 2 3"
    path.write_text(table(rows))
    ferplus(votes, USAGES, [*NUMBERS[:20], 0])
    faces = fer2013.read_faces(path)
    assert faces.notes == ("FER+'s votes are those of fer2013new.csv beside it",)
    assert faces.votes.shape == (20, 7)
    assert faces.votes.argmax(axis=1)[:-1].tolist() == [n for k, n in enumerate(NUMBERS[:20]) if k != 2]
    assert faces.votes.argmax(axis=1)[-1] == 0
    ferplus(votes, USAGES[:-1], NUMBERS[:-1])
    faces = fer2013.read_faces(path)
    assert not faces.votes.any()
    assert faces.notes == ("fer2013new.csv beside it is not used: its rows are not those of fer2013.csv",)
    ferplus(votes, USAGES, [(n + 1) % 7 for n in NUMBERS])
    faces = fer2013.read_faces(path)
    assert not faces.votes.any()
    assert faces.notes == ("fer2013new.csv beside it is not used: it votes for other labels, as if in another order",)
    with pytest.raises(DataError, match=r"fer2013new\.csv: FER\+'s votes, without the faces; name fer2013\.csv"):
        fer2013.read_faces(votes)
