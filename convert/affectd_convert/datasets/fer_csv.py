"""FER2013 as a table: fer2013.csv, icml_face_data.csv, Kaggle's train.csv, and what spreadsheets make of them."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from affectd.events import LABELS
from affectd_convert.datasets.face_set import SIDE, FaceList, FaceSet, votes_of
from affectd_convert.datasets.names import USAGES, label_of, looks_like_split, said_of_splits, split_of, usages_of
from affectd_convert.datasets.not_itself import stands_for_data
from affectd_convert.errors import DataError

FERPLUS = "fer2013new.csv"
"""FER+'s table of votes, a row for each of fer2013.csv: Usage, Image name, neutral, happiness, ..., NF."""
_DELIMITERS = ",;\t|"
_PIXEL_COLUMN = re.compile(r"pixels?[ _]?(\d+)")
_SEPARATORS = str.maketrans(",;[]\t", "     ")
_AGREE = 0.4
"""FER+'s favourite is FER2013's label on 64 % of Training and PublicTest, and on 18 % of them in another order."""


@dataclass(frozen=True)
class Table:
    """A csv's header, understood."""

    columns: tuple[str, ...]
    """Names as they stand, without blanks around them."""
    delimiter: str
    header_lines: int

    def named(self, name: str) -> int | None:
        """Return the number of the column of that name in any case."""
        return next((number for number, column in enumerate(self.columns) if column.lower() == name), None)

    @cached_property
    def pixels(self) -> list[int]:
        """The columns that hold the pixels: one, or one for each pixel in their order; none: no table of faces."""
        whole = self.named("pixels")
        if whole is not None:
            return [whole]
        found = {
            n: int(m[1]) for n, column in enumerate(self.columns) if (m := _PIXEL_COLUMN.fullmatch(column.lower()))
        }
        return sorted(found, key=lambda n: found[n]) if len(found) == SIDE * SIDE else []


@dataclass(frozen=True, eq=False)
class Row:
    """A row of the table, read."""

    line: int
    cells: tuple[str, ...]
    """One for each column, those of pixels empty."""
    face: NDArray[np.uint8] | None
    """(48, 48)."""
    problem: str
    """What is wrong with it where there is no face."""


def read_csv(path: Path) -> FaceSet:
    """Read a table of faces; where no column says which split each belongs to, its own name does: train.csv.

    Rows that cannot be read are left out. Raises DataError when the table or its splits cannot be understood.
    """
    try:
        return _read(path)
    except (OSError, UnicodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error


def holds_faces(path: Path) -> bool:
    """Return whether a csv's header has pixels."""
    try:
        return bool(_table(_lines(path)).pixels)
    except (OSError, UnicodeError, csv.Error):
        return False


def named_as_splits(folder: Path) -> list[Path]:
    """Return the tables in a folder that are called as splits are, such as Kaggle's train.csv and test.csv."""
    return sorted(file for file in folder.iterdir() if file.suffix.lower() == ".csv" and split_of(file.stem))


def _read(path: Path) -> FaceSet:
    if problem := stands_for_data(path):
        raise DataError(f"{path}: {problem}")
    lines = _lines(path)
    table = _table(lines)
    emotion = table.named("emotion")
    if emotion is None or not table.pixels:
        raise DataError(f"{path}: {_no_table(path, table)}")
    rows = _rows(lines, table)
    _must_count_from_0(path, {row.cells[emotion] for row in rows})
    splits = _splits(path, table, rows)
    beside = [file.stem for file in named_as_splits(path.parent)] if split_of(path.stem) else []
    usages = usages_of({*splits, *beside})
    faces, read = FaceList(), []
    for number, (row, split) in enumerate(zip(rows, splits, strict=True)):
        try:
            faces.add(_face_of(row), _label(row.cells[emotion]), _usage(split, usages))
        except ValueError as error:
            faces.left_out.add(f"{path.name}:{row.line}", str(error))
        else:
            read.append(number)
    votes, note = _votes(path, splits, read, faces.label)
    said = said_of_splits({name: usage for name, usage in usages.items() if name in splits})
    return faces.face_set(path, votes, (*said, note) if note else said)


def _rows(lines: Iterator[str], table: Table) -> list[Row]:
    """Read all rows that are not blank."""
    csv.field_size_limit(sys.maxsize)
    reader = csv.reader(lines, delimiter=table.delimiter, skipinitialspace=True)
    return [_row(table.header_lines + reader.line_num, cells, table) for cells in reader if any(cells)]


def _row(line: int, cells: list[str], table: Table) -> Row:
    face, problem = None, ""
    missing = len(table.columns) - len(cells)
    cells = [cell.strip() for cell in cells] + [""] * missing
    if missing < 0:
        problem = f"{len(cells)} fields for {len(table.columns)} columns"
    else:
        try:
            face = _face(" ".join(cells[column] for column in table.pixels))
        except ValueError as error:
            problem = str(error)
    for column in table.pixels[: len(cells)]:
        cells[column] = ""
    return Row(line, tuple(cells), face, problem)


def _lines(path: Path) -> Iterator[str]:
    """Yield the lines in the table's own encoding, UTF-8 or, as Excel's Unicode text, UTF-16."""
    with path.open("rb") as stream:
        utf_16 = stream.read(2) in {b"\xff\xfe", b"\xfe\xff"}
    with path.open(newline="", encoding="utf-16" if utf_16 else "utf-8-sig", errors="replace") as stream:
        yield from (line.replace("\0", "") for line in stream)


def _table(lines: Iterator[str]) -> Table:
    """Read the header off `lines`, by the delimiter that makes most of it."""
    header, count = next(lines, ""), 1
    if header.lower().startswith("sep="):
        # Excel's own line, which names the delimiter.
        header, count = next(lines, ""), 2
    tables = []
    for delimiter in _DELIMITERS:
        names = next(csv.reader([header], delimiter=delimiter, skipinitialspace=True), [])
        tables.append(Table(tuple(name.strip() for name in names), delimiter, count))
    return max(tables, key=lambda table: (bool(table.pixels), table.named("emotion") is not None, len(table.columns)))


def _no_table(path: Path, table: Table) -> str:
    """Return why a table is none of labelled faces."""
    if path.name.lower() == FERPLUS:
        return "FER+'s votes, without the faces; name fer2013.csv, and put this file beside it"
    if table.pixels:
        return "no column emotion: faces without labels, as Kaggle's test.csv, neither train nor judge a model"
    if split_cell := next((name for name in table.columns if name in USAGES), None):
        return f"the first line, with {split_cell}, is no header; expected emotion,pixels,Usage"
    columns = ", ".join(name[:20] for name in table.columns[:10])
    return f"columns are {columns or 'none'}; expected emotion, pixels and Usage"


def _splits(path: Path, table: Table, rows: Sequence[Row]) -> list[str]:
    """Return the name of every row's split.

    Raises DataError when nothing says it, when several columns may, or one of which no value is understood: a guess
    would judge a model on faces it was trained on.
    """
    known = {table.named("emotion"), *table.pixels}
    found = [
        number
        for number, name in enumerate(table.columns)
        if number not in known and (looks_like_split(name) or any(split_of(row.cells[number]) for row in rows))
    ]
    if not found and split_of(path.stem):
        return [path.stem] * len(rows)
    if not found:
        raise DataError(
            f"{path}: no column says which faces are for training and which are held out; add a column Usage with "
            "Training, PublicTest or PrivateTest, or call the file train.csv or test.csv"
        )
    names = " and ".join(table.columns[n] or f"no {n + 1}" for n in found)
    if len(found) > 1:
        raise DataError(f"{path}: columns {names} both look like the split; keep the one that is, called Usage")
    values = [row.cells[found[0]] for row in rows]
    if not usages_of(set(values)):
        there = ", ".join(sorted({value[:20] for value in values})[:5]) or "none"
        raise DataError(
            f"{path}: column {names} looks like the split and its values are {there}; "
            f"expected {', '.join(USAGES)} (or train, validation, test)"
        )
    return values


def _face(text: str) -> NDArray[np.uint8]:
    """Return the face of a row's pixels, (48, 48). Raises ValueError saying what is wrong with it."""
    try:
        levels = np.array(text.translate(_SEPARATORS).split(), np.int64)
    except OverflowError:
        raise ValueError("a pixel of more digits than a number holds; expected 0..255") from None
    if len(levels) != SIDE * SIDE:
        raise ValueError(f"{len(levels)} pixels; expected {SIDE * SIDE}")
    if levels.min() < 0 or levels.max() > 255:
        raise ValueError(f"a pixel of {levels.max() if levels.max() > 255 else levels.min()}; expected 0..255")
    return levels.astype(np.uint8).reshape(SIDE, SIDE)


def _face_of(row: Row) -> NDArray[np.uint8]:
    if row.face is None:
        raise ValueError(row.problem)
    return row.face


def _label(cell: str) -> int:
    """Return the label number of a row's emotion. Raises ValueError when it is none of the seven."""
    emotion = cell.strip()
    number = re.fullmatch(r"([0-6])(\.0+)?", emotion)
    if number:
        return int(number[1])
    if not emotion or any(map(str.isdigit, emotion)):
        raise ValueError(f"emotion {emotion[:20]!r}; expected 0..6")
    label = label_of(emotion)
    if label is None:
        raise ValueError(f"emotion {emotion[:20]!r}; expected one of {', '.join(LABELS)}")
    return LABELS.index(label)


def _usage(cell: str, usages: Mapping[str, int]) -> int:
    if cell not in usages:
        raise ValueError(f"Usage {cell[:20]!r}; expected {', '.join(USAGES)}")
    return usages[cell]


def _must_count_from_0(path: Path, emotions: Collection[str]) -> None:
    """Raise DataError when emotions are numbered 1 to 7, as RAF-DB's are: each would be taken for another one."""
    numbers = {emotion.split(".")[0] for emotion in emotions}
    if "7" in numbers and "0" not in numbers:
        raise DataError(f"{path}: emotions are numbered from 1 to 7; FER2013's are 0 (angry) to 6 (neutral)")


def _votes(
    path: Path, splits: Sequence[str], read: Sequence[int], label: Sequence[int]
) -> tuple[NDArray[np.float32] | None, str]:
    """Return FER+'s votes (n, 7) for the rows that were read, from the table beside theirs, and what is said of it."""
    beside = next((file for file in sorted(path.parent.iterdir()) if file.name.lower() == FERPLUS), None)
    if beside is None:
        return None, ""
    try:
        of_split, votes = _read_votes(beside)
    except (ValueError, IndexError):
        return None, f"{FERPLUS} beside it is not used: it is not FER+'s table of votes"
    if of_split != [split_of(split) for split in splits]:
        return None, f"{FERPLUS} beside it is not used: its rows are not those of {path.name}"
    votes = votes[list(read)]
    if len(votes) and np.mean(votes.argmax(axis=1) == np.array(label)) < _AGREE:
        return None, f"{FERPLUS} beside it is not used: it votes for other labels, as if in another order"
    return votes, f"FER+'s votes are those of {FERPLUS} beside it"


def _read_votes(path: Path) -> tuple[list[str | None], NDArray[np.float32]]:
    """Return the split and the votes (7,) of every row. Raises ValueError or IndexError when they are not there."""
    lines = _lines(path)
    table = _table(lines)
    usage, first = table.columns.index("Usage"), table.columns.index("neutral")
    rows = [row for row in csv.reader(lines, delimiter=table.delimiter) if any(row)]
    votes = np.array([row[first : first + len(LABELS)] for row in rows], np.float32)
    return [split_of(row[usage]) for row in rows], votes_of(votes)
