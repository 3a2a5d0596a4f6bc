"""What each fault cost, as the tests that make faults happen measure it: `pytest --fault-table FILE`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Cost:
    """One row: a fault, and what was seen of it from outside."""

    fault: str
    """What happened, as an operator would say it: "camera stream dies and returns"."""
    recovered_s: float | None
    """From the end of the fault to normal work again; None where nothing had to recover."""
    lost: int
    """Events that no subscriber ever got."""
    repeated: int
    """Events that a subscriber got more than once, by the same id."""
    remark: str = ""


class FaultTable:
    """Takes rows in; they go to the end of a file, if one was asked for."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def record(
        self, fault: str, *, recovered_s: float | None, lost: int = 0, repeated: int = 0, remark: str = ""
    ) -> None:
        """Take in what a fault cost."""
        cost = Cost(fault=fault, recovered_s=recovered_s, lost=lost, repeated=repeated, remark=remark)
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as rows:
                rows.write(json.dumps(asdict(cost)) + "\n")


def read(path: Path) -> list[Cost]:
    """Read the rows of a run."""
    return [Cost(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def written_out(costs: list[Cost]) -> str:
    """Return the rows as a Markdown table, in the order of their names."""
    lines = ["| fault | back after | events lost | repeated | |", "| --- | --- | --- | --- | --- |"]
    for cost in sorted(costs, key=lambda one: one.fault):
        back = "-" if cost.recovered_s is None else f"{cost.recovered_s:.1f} s"
        lines.append(f"| {cost.fault} | {back} | {cost.lost} | {cost.repeated} | {cost.remark} |")
    return "\n".join(lines)
