"""The privacy switch over real components and real files."""

import errno
import json
import os
import subprocess
import sys
import time

import pytest

from affectd.service import privacy
from affectd.service.component import Component
from affectd.service.privacy import PrivacySwitch
from affectd.service.privacy_sources import PrivacySources
from affectd.service.supervisor import Supervisor
from support.preloads import build_preload
from support.waiting import until


class Box:
    """Two devices that know whether they are open, under a supervisor, with a privacy switch over them."""

    def __init__(self, folder):
        self.command_file = folder / "privacy"
        self.open = {"camera": False, "microphone": False}
        self.stubborn = False
        self.announced = []
        self.devices = Supervisor([Component(name, self._device(name)) for name in self.open])

    def _device(self, name):
        def run(stop, beat):
            self.open[name] = True
            while not stop.is_set() or self.stubborn:
                beat()
                stop.wait(0.01)
                time.sleep(0.001)
            self.open[name] = False

        return run

    def start(self, **settings):
        self.switch = PrivacySwitch(
            PrivacySources(self.command_file, **settings),
            close=lambda: self.devices.pause(self.open, 0.3 if self.stubborn else 20.0),
            open_again=lambda: self.devices.resume(self.open),
            on_change=self.announced.append,
        )
        self.switch.poll()
        self.devices.start()
        self.thread = Supervisor([Component("privacy", self.switch.run)])
        self.thread.start()
        return self

    def all_open(self):
        return all(self.open.values())

    def none_open(self):
        return not any(self.open.values())

    def end(self):
        self.stubborn = False
        self.thread.stop(5.0)
        self.devices.stop(5.0)


@pytest.fixture
def box(tmp_path):
    made = Box(tmp_path)
    yield made
    made.end()


@pytest.fixture
def restarted(box, tmp_path):
    """Starts another box with the files of the first."""
    made = []

    def start(**settings):
        box.end()
        made.append(Box(tmp_path))
        return made[-1].start(**settings)

    yield start
    for each in made:
        each.end()


def test_command_closes_and_opens(box):
    box.start()
    until(box.all_open)
    assert box.announced == []
    box.switch.command("on")
    until(lambda: box.switch.state.closed)
    assert box.none_open()
    box.switch.command("OFF\n")
    until(box.all_open)
    until(lambda: len(box.announced) == 2)
    assert [(state.on, state.closed) for state in box.announced] == [(True, True), (False, False)]


def test_start_setting_keeps_them_closed_from_the_first_moment(box):
    box.start(start_on=True)
    assert box.switch.state.closed
    time.sleep(0.3)
    assert box.none_open()
    assert [status.state for status in box.devices.statuses()] == ["off", "off"]
    box.switch.command("off")
    until(box.all_open)


def test_file_closes_and_opens(box, tmp_path):
    file = tmp_path / "value"
    file.write_text("0\n")
    box.start(switch_file=file)
    until(box.all_open)
    file.write_text("1\n")
    until(lambda: box.switch.state.closed)
    assert box.none_open()
    assert box.switch.state.by_file
    file.write_text("0\n")
    until(box.all_open)


def test_file_wins_over_the_command_and_says_so(box, tmp_path):
    file = tmp_path / "value"
    file.write_text("1")
    box.start(switch_file=file)
    box.switch.command("off")
    until(lambda: box.switch.state.notice is not None)
    assert box.switch.state.notice == f"'off' is refused: the switch {file} holds privacy on"
    time.sleep(0.7)
    assert box.switch.state.on
    assert box.switch.state.notice is not None
    assert box.none_open()
    file.write_text("0")
    until(box.all_open)
    until(lambda: box.switch.state.notice is None)


def test_command_on_outlasts_the_file(box, tmp_path):
    file = tmp_path / "value"
    file.write_text("1")
    box.start(switch_file=file)
    box.switch.command("on")
    until(box.command_file.exists)
    file.write_text("0")
    until(lambda: not box.switch.state.by_file)
    assert box.switch.state.closed
    assert box.none_open()


@pytest.mark.parametrize("content", [None, "", "yes", "\xff\x00"])
def test_broken_switch_keeps_everything_closed(box, tmp_path, caplog, content):
    file = tmp_path / "value"
    if content is not None:
        file.write_text(content, encoding="latin-1")
    box.start(switch_file=file)
    until(lambda: box.switch.state.notice)
    time.sleep(1.2)  # it is looked at again
    assert box.none_open()
    assert box.switch.state.closed
    assert caplog.text.count("privacy stays on until it is mended") == 1
    assert "privacy stays on until it is mended" in box.switch.state.notice
    file.write_text("0")
    until(box.all_open)


def test_nonsense_is_refused_and_changes_nothing(box):
    box.start()
    until(box.all_open)
    box.switch.command("maybe" * 100)
    until(lambda: "is not understood: send 'on' or 'off'" in str(box.switch.state.notice))
    assert len(box.switch.state.notice) < 120
    assert box.all_open()


def test_device_that_does_not_close_is_said_until_it_does(box):
    box.start()
    until(box.all_open)
    box.stubborn = True
    box.switch.command("on")
    until(lambda: box.switch.state.on)
    assert not box.switch.state.closed
    until(lambda: "camera and microphone could not be closed yet" in str(box.switch.state.notice))
    box.stubborn = False
    until(lambda: box.switch.state.closed)
    assert box.none_open()
    assert box.switch.state.notice is None


# Over restarts.


@pytest.mark.parametrize("start_on", [False, True])
@pytest.mark.parametrize("command", ["on", "off"])
def test_the_last_command_holds_over_a_restart_whatever_the_start_setting(box, restarted, command, start_on):
    box.start(start_on=not start_on)
    box.switch.command("off" if command == "on" else "on")
    until(box.command_file.exists)
    box.switch.command(command)
    until(lambda: box.command_file.read_text() == f"{command}\n")
    again = restarted(start_on=start_on)
    if command == "on":
        assert again.switch.state.closed
        time.sleep(0.3)
        assert again.none_open()
    else:
        until(again.all_open)
    assert again.switch.state.notice is None


def test_the_command_is_on_disk_before_the_devices_are_closed(box):
    box.start()
    until(box.all_open)
    box.stubborn = True
    box.switch.command("on")
    until(lambda: box.switch.state.on)
    assert not box.switch.state.closed
    assert box.command_file.read_text() == "on\n"
    assert [file.name for file in box.command_file.parent.iterdir()] == ["privacy"]


def test_what_is_refused_is_not_kept(box, tmp_path):
    file = tmp_path / "value"
    file.write_text("1")
    box.start(switch_file=file)
    for command in ("off", "maybe"):
        box.switch.command(command)
        until(lambda command=command: command in str(box.switch.state.notice))
    assert not box.command_file.exists()


@pytest.mark.parametrize("content", ["", "offf", "of\x00", "ON", "\xff"])
def test_a_kept_command_that_is_not_understood_counts_as_on(box, caplog, content):
    box.command_file.write_text(content, encoding="latin-1")
    box.start()
    until(lambda: box.switch.state.notice)
    time.sleep(0.7)
    assert box.none_open()
    assert box.switch.state.closed
    sentence = f"the last privacy command {box.command_file} says "
    assert box.switch.state.notice.startswith(sentence)
    assert caplog.text.count(sentence) == 1
    box.switch.command("off")
    until(box.all_open)
    until(lambda: box.switch.state.notice is None)
    assert box.command_file.read_text() == "off\n"


def test_a_kept_command_that_cannot_be_read_or_replaced_counts_as_on_and_says_so(box, monkeypatch, caplog):
    monkeypatch.setattr(privacy, "RETRY_S", 0.1)
    box.command_file.mkdir()
    box.start()
    assert box.switch.state.closed
    assert "cannot be read (Is a directory): privacy stays on until 'off' is sent" in box.switch.state.notice
    box.switch.command("off")
    until(box.all_open)
    sentence = f"'off' holds for this run only: {box.command_file} cannot be written (Is a directory)"
    until(lambda: sentence in str(box.switch.state.notice))
    time.sleep(1.2)
    assert caplog.text.count(sentence) == 1
    box.command_file.rmdir()
    until(lambda: box.switch.state.notice is None)
    assert box.command_file.read_text() == "off\n"


BAD_DISK = """
import json, logging, sys
from pathlib import Path
from affectd.service import privacy
from affectd.service.privacy_sources import PrivacySources
logging.basicConfig(format="%(message)s")
folder, closings, states = Path(sys.argv[1]), [], []
def close():
    closings.append(True)
    return []
switch = privacy.PrivacySwitch(
    PrivacySources(folder / "privacy"), close=close, open_again=closings.clear, on_change=states.append
)
(folder / "errno").write_text(sys.argv[2])
switch.command("on")
switch.poll()
closed = [bool(closings), states[-1].closed, states[-1].notice, (folder / "privacy").exists()]
(folder / "errno").unlink()
switch._keep_at = 0.0
switch.poll()
print(json.dumps([closed, states[-1].notice, (folder / "privacy").read_text()]))
"""


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_disk_that_takes_nothing_keeps_nobody_from_closing(tmp_path, number):
    folder = tmp_path / "with-outbox.db"  # what the preload knows the disk by
    folder.mkdir()
    environment = {**os.environ, "LD_PRELOAD": build_preload("bad_disk", tmp_path), "BAD_DISK": str(folder / "errno")}
    command = [sys.executable, "-c", BAD_DISK, str(folder), str(number)]
    ended = subprocess.run(command, env=environment, capture_output=True, check=True, text=True, timeout=60)
    (closed, announced, notice, kept), later, content = json.loads(ended.stdout)
    assert closed
    assert announced
    assert not kept
    sentence = f"'on' holds for this run only: {folder / 'privacy'} cannot be written ({os.strerror(number)})"
    assert notice.startswith(sentence)
    assert ended.stderr.startswith(sentence)
    assert "Traceback" not in ended.stderr
    assert (later, content) == (None, "on\n")
