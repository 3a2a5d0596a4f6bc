"""What a command says of files that it could not use: a sentence each, the first ones if there are many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

NAMED = 20


def print_left_out(sentences: Sequence[str], stream: TextIO | None = None) -> None:
    """Print why files were left out, a sentence each, to `stream` or stdout; nothing when none was."""
    if sentences:
        print("left out:", file=stream)
    for sentence in sentences[:NAMED]:
        print(f"  {sentence}", file=stream)
    if len(sentences) > NAMED:
        print(f"  and {len(sentences) - NAMED} more such sentences", file=stream)
