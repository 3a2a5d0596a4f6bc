"""Every parser of outside data answers its kept corpus, and mutations of it, with a value or one clear sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fuzz import targets

MUTATIONS = {
    "config": 400,
    "environment": 200,
    "manifest": 400,
    "golden": 400,
    "model": 400,
    "command": 2000,
    "message": 2000,
    "listen": 400,
    "switch": 300,
    "board": 300,
    "outbox": 40,
    "clip": 60,
    "sound": 15,
    "picture": 30,
}
KEPT = [file for name in targets.TARGETS for file in sorted((targets.CORPUS / name).iterdir())]


@pytest.mark.parametrize("file", KEPT, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_the_kept_corpus_is_answered(file: Path) -> None:
    targets.TARGETS[file.parent.name](file.read_bytes())


def test_every_target_has_a_corpus() -> None:
    assert {file.parent.name for file in KEPT} == set(targets.TARGETS) == set(MUTATIONS)


@pytest.mark.parametrize("name", targets.TARGETS)
def test_mutations_of_the_corpus_are_answered(name: str) -> None:
    rng = np.random.default_rng(7)
    seeds = targets.seeds(name)
    for number in range(MUTATIONS[name]):
        targets.TARGETS[name](mutated(seeds[number % len(seeds)], rng))


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """Flip, cut out, double or overwrite a few places."""
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        start = int(rng.integers(0, len(changed) + 1))
        end = min(start + int(rng.integers(1, 40)), len(changed))
        kind = int(rng.integers(4))
        if kind == 0 and start < len(changed):
            changed[start] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            del changed[start:end]
        elif kind == 2:
            changed[start:start] = changed[start:end]
        else:
            changed[start:end] = rng.bytes(end - start)
    return bytes(changed)
