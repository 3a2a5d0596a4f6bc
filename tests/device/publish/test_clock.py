"""Whether the clock can be believed: this kernel's own answer, and every answer of one that is told what to say."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest

from affectd.publish import clock
from support.preloads import build_preload

STA_UNSYNC = 0x40


class StartOfTimex(ctypes.Structure):
    """struct timex up to its status, as adjtimex(2) has it, and room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        *((name, ctypes.c_long) for name in ("offset", "freq", "maxerror", "esterror")),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 400),
    )


def test_this_kernels_status_and_its_answer_agree(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(clock, "SYNCHRONIZED", tmp_path / "nowhere")
    timex = StartOfTimex()
    assert ctypes.CDLL(None).adjtimex(ctypes.byref(timex)) >= 0
    assert clock.clock_synced() is not bool(timex.status & STA_UNSYNC)


@pytest.mark.parametrize(("answer", "synced"), [(0, True), (1, True), (4, True), (5, False), (-1, False)])
def test_every_answer_of_the_kernel(tmp_path: Path, answer: int, synced: bool) -> None:
    program = (
        "from pathlib import Path; from affectd.publish import clock; clock.SYNCHRONIZED = Path('/nowhere'); "
        "print(clock.clock_synced())"
    )
    environment = {**os.environ, "LD_PRELOAD": build_preload("clock", tmp_path), "CLOCK_STATE": str(answer)}
    said = subprocess.run(
        [sys.executable, "-c", program], env=environment, check=True, stdout=subprocess.PIPE, text=True, timeout=30
    ).stdout
    assert said.strip() == str(synced)


def test_a_sandbox_that_does_not_let_us_ask_is_told_once(tmp_path: Path) -> None:
    program = (
        "from pathlib import Path; from affectd.publish import clock; clock.SYNCHRONIZED = Path('/nowhere'); "
        "print([clock.clock_synced() for _ in range(3)])"
    )
    environment = {**os.environ, "LD_PRELOAD": build_preload("clock", tmp_path), "CLOCK_STATE": "-1"}
    ended = subprocess.run(
        [sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True, timeout=30
    )
    assert ended.stdout.strip() == "[False, False, False]"
    assert ended.stderr.count("Operation not permitted") == 1
    assert "a sandbox must allow adjtimex" in ended.stderr


def test_the_time_services_word_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    word = tmp_path / "synchronized"
    word.touch()
    monkeypatch.setattr(clock, "SYNCHRONIZED", word)
    assert clock.clock_synced()


def test_a_stamp_is_utc_with_milliseconds() -> None:
    stamped = clock.stamp(0.0)
    assert (
        abs((datetime.fromisoformat(stamped.time.replace("Z", "+00:00")) - datetime.now(timezone.utc)).total_seconds())
        < 30
    )
    assert len(stamped.time) == len("2026-01-02T03:04:05.678Z")
    assert stamped.latency_ms > 0
