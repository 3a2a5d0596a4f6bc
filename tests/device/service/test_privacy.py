"""The privacy switch over real components and a real file."""

import time

import pytest

from affectd.service.component import Component
from affectd.service.privacy import PrivacySwitch
from affectd.service.supervisor import Supervisor
from support.waiting import until


class Box:
    """Two devices that know whether they are open, under a supervisor, with a privacy switch over them."""

    def __init__(self):
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
            close=lambda: self.devices.pause(self.open, 0.3),
            open_again=lambda: self.devices.resume(self.open),
            on_change=self.announced.append,
            **settings,
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


@pytest.fixture
def box():
    made = Box()
    yield made
    made.stubborn = False
    made.thread.stop(5.0)
    made.devices.stop(5.0)


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
    time.sleep(0.2)
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
    time.sleep(1.2)
    assert box.none_open()
    assert box.switch.state.closed
    assert caplog.text.count("privacy stays on until it is mended") == 1
    file.write_text("0")
    until(box.all_open)


def test_nonsense_is_refused_and_changes_nothing(box):
    box.start()
    until(box.all_open)
    box.switch.command("maybe" * 100)
    until(lambda: box.announced)
    assert "is not understood: send 'on' or 'off'" in box.switch.state.notice
    assert len(box.switch.state.notice) < 120
    assert box.all_open()


def test_device_that_does_not_close_is_said_until_it_does(box):
    box.start()
    until(box.all_open)
    box.stubborn = True
    box.switch.command("on")
    until(lambda: box.switch.state.on)
    assert not box.switch.state.closed
    assert "camera and microphone could not be closed yet" in box.switch.state.notice
    box.stubborn = False
    until(lambda: box.switch.state.closed)
    assert box.none_open()
    assert box.switch.state.notice is None
