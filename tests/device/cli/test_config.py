"""`affectd config init` and `affectd config check`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from affectd.cli.main import main
from affectd.config import Config
from affectd.config.file import load


def test_init_writes_a_file_that_check_accepts(tmp_path, capsys):
    path = tmp_path / "affectd.toml"
    assert main(["config", "init", str(path)]) == 0
    assert load(path, {}) == Config()
    assert main(["config", "check", str(path)]) == 0
    assert "in order" in capsys.readouterr().out


def test_init_without_a_file_writes_to_standard_output(capsys):
    assert main(["config", "init"]) == 0
    assert "[mqtt]" in capsys.readouterr().out


def test_init_overwrites_only_when_forced(tmp_path, capsys):
    path = tmp_path / "affectd.toml"
    path.write_text("# mine\n")
    assert main(["config", "init", str(path)]) == 3
    assert path.read_text() == "# mine\n"
    assert "--force" in capsys.readouterr().err
    assert main(["config", "init", str(path), "--force"]) == 0
    assert load(path, {}) == Config()


def test_init_says_why_it_cannot_write(tmp_path, capsys):
    assert main(["config", "init", str(tmp_path / "missing" / "affectd.toml")]) == 3
    assert "cannot be written: No such file or directory" in capsys.readouterr().err


def test_init_says_why_it_cannot_write_what_is_there(tmp_path, capsys):
    assert main(["config", "init", str(tmp_path)]) == 3
    assert "is a folder; name a file in it" in capsys.readouterr().err
    assert main(["config", "init", "/dev/full", "--force"]) == 3
    assert "/dev/full: cannot be written: No space left on device" in capsys.readouterr().err


@pytest.mark.parametrize("locale", ["C", "xx_YY.UTF-8", "de_DE.ISO-8859-1"])
def test_init_and_check_work_in_any_locale(tmp_path, locale):
    for action in ("init", "check"):
        command = [sys.executable, "-m", "affectd.cli.main", "config", action, "my.toml"]
        environ = {**os.environ, "LC_ALL": locale, "LANG": locale}
        ended = subprocess.run(
            command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=False
        )
        assert (ended.returncode, ended.stderr) == (0, "")


def test_check_warns_and_refuses(tmp_path, capsys):
    path = Path(tmp_path / "affectd.toml")
    path.write_text("[mqtt]\nport = 8883\n")
    assert main(["config", "check", str(path)]) == 0
    assert "warning: mqtt.port is 8883" in capsys.readouterr().err
    path.write_text("[mqtt]\nprot = 8883\n")
    assert main(["config", "check", str(path)]) == 3
    assert f"affectd: {path}, line 2: mqtt.prot" in capsys.readouterr().err


def test_check_refuses_a_camera_that_is_none(tmp_path, capsys):
    path = Path(tmp_path / "affectd.toml")
    path.write_text('[camera]\nsource = "usb"\n')
    assert main(["config", "check", str(path)]) == 3
    assert 'camera.source = "usb": there is no such file' in capsys.readouterr().err
    path.write_text('[camera]\nsource = "later.mp4"\n')
    assert main(["config", "check", str(path)]) == 0


@pytest.mark.parametrize("name", ["AFFECTD_MQTT_PORT"])
def test_check_sees_the_environment(name, tmp_path, capsys, monkeypatch):
    path = tmp_path / "affectd.toml"
    path.touch()
    monkeypatch.setenv(name, "high")
    assert main(["config", "check", str(path)]) == 3
    assert f"environment variable {name}" in capsys.readouterr().err
