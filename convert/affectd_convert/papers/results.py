"""What the protocols gave: kept in `results.json` one by one, so that a run goes on where it was stopped."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from affectd_convert.errors import DataError

FILE = "results.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One network, fitted and scored on one split; shares 0..1."""

    protocol: str
    split: str
    epochs: int
    trained: int
    """Training samples."""
    tested: int
    """Test samples."""
    leak: float
    """Share of the test samples whose speaker (voice) or exact picture (face) is trained on too."""
    train_accuracy: float
    accuracy: float
    macro_f1: float
    uar: float
    """Unweighted average recall."""
    ravdess_accuracy: float | None
    """Of the test clips that are RAVDESS's; None for faces."""
    seconds: float
    """What fitting took."""


def read(folder: Path) -> list[Result]:
    """Return the results in a folder, in the order in which they were made; none where there is no file yet.

    Raises DataError when the file is not one of results.
    """
    try:
        text = (folder / FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    try:
        return [Result(**values) for values in json.loads(text)]
    except (ValueError, TypeError) as error:
        raise DataError(f"{folder / FILE}: not results of this program ({error}); remove it to begin anew") from error


def add(folder: Path, result: Result) -> None:
    """Add a result to those in the folder; the file is whole at any time."""
    part = folder / f"{FILE}.part"
    part.write_text(json.dumps([asdict(one) for one in [*read(folder), result]], indent=1) + "\n", encoding="utf-8")
    part.replace(folder / FILE)


def table(results: list[Result]) -> str:
    """Return results as a Markdown table."""
    head = ("protocol", "split", "epochs", "trained", "tested", "leak", "train", "test", "macro F1", "UAR", "RAVDESS")
    lines: list[tuple[object, ...]] = [head, ("---",) * len(head)]
    for one in results:
        scores = (one.leak, one.train_accuracy, one.accuracy, one.macro_f1, one.uar, one.ravdess_accuracy)
        shares = ("-" if score is None else f"{score:.1%}" for score in scores)
        lines.append((one.protocol, one.split, one.epochs, one.trained, one.tested, *shares))
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
