"""What a reader leaves out of a corpus and why, gathered so that thousands of files make a few sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from affectd_convert.datasets.not_itself import POINTER

NAMED_EACH = 3
"""Files with one reason that get a sentence each; more are counted in one sentence."""


@dataclass
class LeftOut:
    """What was left out so far, by reason."""

    _where: dict[str, list[str]] = field(default_factory=dict)

    def add(self, where: str, reason: str) -> None:
        """Note that the file, folder or line `where` is left out for `reason`."""
        self._where.setdefault(reason, []).append(where)

    def add_pointers(self, folder: Path, files: Sequence[Path]) -> None:
        """Note that git-lfs has not fetched what `files` in `folder` stand for, thousands perhaps: by their number."""
        if files:
            first = str(files[0].relative_to(folder))
            self.add(f"{len(files)} files, {first} first" if len(files) > 1 else first, POINTER)

    def sentences(self) -> tuple[str, ...]:
        """Return the reasons as sentences, the first one met first."""
        return tuple(one for reason, places in self._where.items() for one in _sentences(reason, places))


def _sentences(reason: str, places: list[str]) -> list[str]:
    if len(places) <= NAMED_EACH:
        return [f"{where}: {reason}" for where in places]
    return [f"{places[0]} and {len(places) - 1} others: {reason}"]
