"""The board's figures, from files as its kernel has them and from its firmware's mailbox."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from affectd.service.board import Board
from support import board_files
from support.preloads import build_preload


def test_hottest_zone_counts_and_broken_ones_do_not(tmp_path: Path) -> None:
    assert Board(tmp_path).temperature_c() is None
    for number, text in enumerate(["41500\n", "63250\n", "", "n/a"]):
        board_files.write(tmp_path, f"sys/class/thermal/thermal_zone{number}/temp", text)
    (tmp_path / "sys/class/thermal/thermal_zone9").mkdir()
    assert Board(tmp_path).temperature_c() == 63.25
    assert Board(tmp_path).heat() is None, "no zone has a limit"


def test_the_zone_nearest_to_its_limit_counts(tmp_path: Path) -> None:
    board_files.zone(tmp_path, 0, 70.0, active_0=50.0, passive_1=99.0, critical_2=105.0)  # a fan begins at 50
    board_files.zone(tmp_path, 1, 60.0, passive_0=75.0, passive_1=85.0, critical_2=115.0)
    board_files.zone(tmp_path, 2, 62.0, passive_0=0.0, critical_1=100.0)  # switched off
    heat = Board(tmp_path).heat()
    assert heat is not None
    assert (heat.temperature_c, heat.limit_c, heat.room_c) == (60.0, 75.0, 15.0)
    board_files.write(tmp_path, "sys/class/thermal/thermal_zone1/policy", "power_allocator\n")
    heat = Board(tmp_path).heat()
    assert heat is not None
    assert heat.limit_c == 85.0


def test_a_raspberry_pi_is_known_to_slow_down_at_80(tmp_path: Path) -> None:
    heat = Board(board_files.raspberry_pi(tmp_path, 71.5)).heat()
    assert heat is not None
    assert heat.room_c == 8.5


@pytest.mark.parametrize(
    ("text", "throttled", "by_heat"),
    [
        ("0\n", False, False),
        ("50005\n", True, False),  # undervoltage too: the power supply
        ("50000\n", False, False),  # it was so
        ("0x4\n", True, True),
        ("20002\n", True, True),
        ("8\n", True, False),  # a soft limit
        ("what?", None, False),
    ],
)
def test_throttling_is_about_the_present(tmp_path: Path, text: str, throttled: bool | None, by_heat: bool) -> None:
    board_files.write(tmp_path, board_files.FIRMWARE, text)
    assert Board(tmp_path).throttled() is throttled
    assert Board(tmp_path).slowed_by_heat() is by_heat


def test_other_boards_do_not_throttle(tmp_path: Path) -> None:
    assert Board(tmp_path).throttled() is None
    board_files.write(tmp_path, "dev/vcio", "no mailbox")
    assert Board(tmp_path).throttled() is None


def test_the_firmware_itself_is_asked_where_the_kernel_does_not_tell(tmp_path: Path) -> None:
    board_files.write(tmp_path, "dev/vcio", "")
    program = f"from pathlib import Path; from affectd.service.board import Board; b = Board(Path({str(tmp_path)!r}))"
    asked = subprocess.run(
        [sys.executable, "-c", f"{program}; print(b.throttled(), b.slowed_by_heat())"],
        env={**os.environ, "LD_PRELOAD": build_preload("vcio", tmp_path), "THROTTLED": "0xe0006"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert asked.stdout == "True True\n"
