"""A board that gets too hot: the real daemon works on fewer frames and says so, until the board is cool again."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path

import pytest

from affectd.config.file import load
from affectd.daemon import Daemon
from affectd.service import thermal_governor
from affectd.service.board import Board
from affectd.service.meters import Meters
from e2e.program import RESTLESS, Affectd, blinking_person
from e2e.sound import ROOT, health
from support import board_files
from support.broker import Listener, Mosquitto


def test_a_hot_board_is_given_fewer_frames_and_all_of_them_again_once_it_is_cool(
    broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("affectd.daemon.Meters", partial(Meters, window_s=2.0))
    monkeypatch.setattr(thermal_governor, "LOOK_S", 0.2)
    monkeypatch.setattr(thermal_governor, "RECOVER_S", 1.0)
    monkeypatch.setattr(thermal_governor, "SETTLE_S", 1.0)
    clip = blinking_person(tmp_path / "blinking.mp4")
    program = Affectd(tmp_path, broker, camera={"source": str(clip)}, clip={"loop": True}, **RESTLESS)
    board = Board(board_files.raspberry_pi(tmp_path / "board", 55.0))
    with Listener(broker, f"{ROOT}/#") as listener:
        daemon, stop = Daemon(load(program.settings_file, {}), board=board), threading.Event()
        thread = threading.Thread(target=daemon.run, args=(stop,))
        thread.start()
        try:
            cool = health(listener.wait_for(lambda messages: health(messages).get("frames_per_s", 0) > 7))
            assert (cool["temperature_c"], cool["thermal_notice"], cool["status"]) == (55.0, None, "ok")
            board_files.raspberry_pi(tmp_path / "board", 77.0)
            hot = health(listener.wait_for(lambda messages: health(messages)["thermal_notice"]))
            assert hot["thermal_notice"].startswith("throttled by affectd: 5 fps at 77 °C")
            board_files.raspberry_pi(tmp_path / "board", 79.0)
            listener.wait_for(lambda messages: "2 fps at 79 °C" in str(health(messages)["thermal_notice"]))
            listener.wait_for(lambda messages: health(messages)["frames_per_s"] < 6)
            board_files.raspberry_pi(tmp_path / "board", 60.0)
            listener.wait_for(lambda messages: health(messages)["thermal_notice"] is None)
        finally:
            stop.set()
            thread.join(30)
    assert not thread.is_alive()
