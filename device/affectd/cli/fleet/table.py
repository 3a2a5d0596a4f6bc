"""The table of `affectd fleet`: its lines, and drawing on a terminal no more than what has changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from affectd.cli.fleet.row import Row
from affectd.cli.terminal import plain

_COLUMNS = (("box", 16), ("status", 8), ("version", 9), ("since", 19), ("emotion", 13), ("people", 6), ("waiting", 7))
_NAMES = "  ".join(f"{name:<{width}}" for name, width in _COLUMNS) + "  problem"


def lines(rows: Sequence[Row]) -> list[str]:
    """Return the table: a line on the whole, the names of the columns, a line for each row."""
    counts = Counter(row.status for row in rows)
    whole = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    return [plain(f"{len(rows)} boxes" + (f": {whole}" if whole else "")), _NAMES, *map(_line, rows)]


def _line(row: Row) -> str:
    cells = (
        row.box,
        row.status,
        row.version,
        _local(row.since),
        row.emotion or (row.reason or "").replace("_", " "),
        row.people,
        row.waiting,
    )
    shown = [_cell(value, width) for value, (_, width) in zip(cells, _COLUMNS, strict=True)]
    return "  ".join([*shown, plain(row.problem or "")]).rstrip()


def _cell(value: object, width: int) -> str:
    text = "-" if value in (None, "") else plain(str(value))
    return f"{text:<{width}.{width}}"


def _local(time: str | None) -> str | None:
    """Return a time as this machine's clock shows it, to the second."""
    try:
        at = datetime.fromisoformat((time or "").replace("Z", "+00:00"))
        return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError):
        return None


class Screen:
    """What a terminal shows, so that only lines that differ are written again."""

    def __init__(self) -> None:
        """Begin with a terminal of which nothing is known."""
        self._shown: list[str] = []
        self._size = (0, 0)

    def draw(self, table: Sequence[str], columns: int, rows: int) -> str:
        """Return what to write so that a terminal of this size shows the table, cut to it."""
        room = max(1, rows - 1)
        if len(table) > room:
            table = [*table[: room - 1], f"... and {len(table) - room + 1} more; all of them: affectd fleet | less"]
        cut = [line[:columns] for line in table]
        out = []
        if self._size != (columns, rows):
            self._shown, self._size = [], (columns, rows)
            out.append("\033[2J")
        for number in range(max(len(cut), len(self._shown))):
            line = cut[number] if number < len(cut) else ""
            if number >= len(self._shown) or self._shown[number] != line:
                out.append(f"\033[{number + 1};1H{line}\033[K")
        self._shown = cut
        return "".join(out) + f"\033[{len(cut) + 1};1H" if out else ""
