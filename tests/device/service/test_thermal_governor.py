"""Fewer frames before the board slows itself down, and all of them again once it is cool, without swinging."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from affectd.service.board import Board
from affectd.service.thermal_governor import LOOK_S, RECOVER_S, SETTLE_S, ThermalGovernor
from support import board_files


class Room:
    """A Raspberry Pi whose temperature and clock the test turns."""

    def __init__(self, root: Path, fps: float = 10.0) -> None:
        self.now = 1000.0
        self._root = board_files.raspberry_pi(root, 50.0)
        self._temperature = 50.0
        self.governor = ThermalGovernor(Board(root), fps, clock=lambda: self.now)

    def at(self, temperature: float, seconds: float = LOOK_S) -> float | None:
        """Let so many seconds pass at a temperature, and return the limit then."""
        if temperature != self._temperature:
            board_files.raspberry_pi(self._root, temperature)
            self._temperature = temperature
        end = self.now + seconds
        while self.now < end:
            self.now += 0.5
            self.governor.poll()
        return self.governor.fps_limit


def test_the_rate_falls_before_the_limit_and_rises_once_cool(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    room = Room(tmp_path)
    assert room.at(75.0, 60) is None
    assert room.governor.notice is None
    assert room.at(76.5) == 5
    assert room.governor.notice == (
        "throttled by affectd: 5 fps at 76 °C; from 80 °C on the board slows itself down: give it more air"
    )
    assert room.at(77.0, 300) == 5, "it holds the temperature below the second step"
    assert room.at(79.0) == 2
    assert room.at(81.0, 300) == 2
    assert room.at(72.0, 3 * RECOVER_S) == 2, "hysteresis"
    assert room.at(70.0, RECOVER_S - LOOK_S) == 2
    assert room.at(70.0, 2 * LOOK_S) == 5
    assert room.at(70.0, RECOVER_S + LOOK_S) is None
    assert room.governor.notice is None
    said = [record.getMessage().split(";")[0] for record in caplog.records]
    assert said == [
        "throttled by affectd: 5 fps at 76 °C",
        "throttled by affectd: 2 fps at 79 °C",
        "cool enough again: 5 fps",
        "cool enough again: 10 fps",
    ]


def test_a_sudden_heat_takes_its_second_step_only_once_the_first_had_time(tmp_path: Path) -> None:
    room = Room(tmp_path)
    assert room.at(90.0) == 5
    assert room.at(90.0, SETTLE_S - LOOK_S) == 5
    assert room.at(90.0, 2 * LOOK_S) == 2


def test_a_box_in_the_sun_swings_ever_more_rarely(tmp_path: Path) -> None:
    room, limits = Room(tmp_path), [None]
    for _ in range(round(3600 / LOOK_S)):
        limits.append(room.at(70.0 if limits[-1] else 77.0))  # hot at the full rate, cool at half of it
    changes = sum(before != after for before, after in pairwise(limits))
    assert changes <= 14  # with RECOVER_S as it is, more than a hundred


def test_the_firmware_that_slows_down_is_believed_and_a_weak_power_supply_is_no_heat(tmp_path: Path) -> None:
    room = Room(tmp_path)
    board_files.write(tmp_path, board_files.FIRMWARE, "50005\n")
    assert room.at(60.0) is None
    board_files.write(tmp_path, board_files.FIRMWARE, "20002\n")
    assert room.at(60.0) == 5
    assert "5 fps at 60 °C; the firmware slows the board down" in str(room.governor.notice)


def test_a_board_without_a_limit_is_left_alone_and_few_frames_stay_enough_to_see_somebody(tmp_path: Path) -> None:
    board_files.zone(tmp_path / "x86", 0, 95.0, critical_0=110.0)
    governor = ThermalGovernor(Board(tmp_path / "x86"), 10.0)
    governor.poll()
    assert governor.fps_limit is None
    slow = Room(tmp_path / "pi", fps=3.0)
    assert slow.at(90.0) == 2
    assert slow.at(90.0, 300) == 2
    slowest = Room(tmp_path / "zero", fps=1.0)
    assert slowest.at(90.0, 300) is None
