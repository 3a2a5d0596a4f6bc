"""Paths of the settings: ~ and relative ones mean the same file for the check and for the service."""

from __future__ import annotations

import dataclasses
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from affectd.assembly import outbox_path, privacy_sources
from affectd.config import Config
from affectd.config.file import load
from affectd.config.keys import TABLES, keys_of
from affectd.errors import ConfigError
from affectd.inference.installed import installed_models
from support.media import flash_and_beep, write_clip

PATHS = {
    ("camera", "source"),
    ("inference", "models"),
    ("inference", "face_model"),
    ("inference", "voice_model"),
    ("inference", "delegate"),
    ("mqtt", "ca_file"),
    ("mqtt", "cert_file"),
    ("mqtt", "key_file"),
    ("mqtt", "password_file"),
    ("outbox", "path"),
    ("privacy", "switch_file"),
}
NOBODY_KNOWN = ["unshare", "--user", "--map-user=12345", "--map-group=12345", "env", "-i", "PATH=/usr/bin:/bin"]
"""Runs a command as a user that has no entry, and without HOME, as containers do."""


def affectd(*arguments: str, cwd: Path | str = "/", wrapper: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run the program until it ends; in `wrapper`'s environment, or in ours."""
    command = [*wrapper, sys.executable, "-m", "affectd.cli.main", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


def as_nobody_known(*arguments: str, environ: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return affectd(*arguments, wrapper=(*NOBODY_KNOWN, *environ))


def settings_of_paths(path: str) -> str:
    """Write a file that has all paths below `path`."""
    lines = [f"[{table}]\n{key} = '{path}/{key}'\n" for table, key in sorted(PATHS) if table != "mqtt"]
    lines = [line if "delegate" in line else line.removeprefix("[inference]\n") for line in lines]
    mqtt = [f"{key} = '{path}/{key}'\n" for table, key in sorted(PATHS) if table == "mqtt"]
    return "".join([*lines, "[mqtt]\nusername = 'box'\n", *mqtt])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files that must be there."""
    (tmp_path / "here").mkdir()
    for table, key in PATHS:
        if table == "mqtt":
            (tmp_path / "here" / key).touch()
    return tmp_path


def paths_of(config: Config) -> set[str]:
    return {getattr(getattr(config, table), key) for table, key in PATHS}


def test_every_setting_that_is_a_path_is_marked() -> None:
    marked = {(table, name) for table in TABLES for name, key in keys_of(table).items() if key.metadata["path"]}
    assert marked == PATHS


def test_relative_paths_of_the_file_start_from_its_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = folder / "affectd.toml"
    file.write_text(settings_of_paths("here"))
    expected = {str(folder / "here" / key) for _, key in PATHS}
    assert paths_of(load(file, {})) == expected
    monkeypatch.chdir(folder)
    assert paths_of(load(Path("affectd.toml"), {})) == expected
    monkeypatch.chdir(folder / "here")
    assert paths_of(load(Path("../affectd.toml"), {})) == {str(folder / "here/../here" / key) for _, key in PATHS}


def test_relative_paths_of_the_environment_start_from_the_working_directory(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "elsewhere").mkdir()
    file = folder / "elsewhere" / "affectd.toml"
    file.touch()
    environ = {f"AFFECTD_{table}_{key}".upper(): f"here/{key}" for table, key in PATHS}
    monkeypatch.chdir(folder)
    config = load(file, {**environ, "AFFECTD_MQTT_USERNAME": "box"})
    assert paths_of(config) == {str(folder / "here" / key) for _, key in PATHS}


def test_a_tilde_is_the_home_folder_in_every_path(folder: Path) -> None:
    file = folder / "affectd.toml"
    file.write_text(settings_of_paths("~/here"))
    assert paths_of(load(file, {"HOME": str(folder)})) == {str(folder / "here" / key) for _, key in PATHS}
    of_root = pwd.getpwnam("root").pw_dir
    for environ in ({}, {"HOME": ""}, {"HOME": "/nowhere"}):
        assert load(None, {**environ, "AFFECTD_OUTBOX_PATH": "~root/o.db"}).outbox.path == f"{of_root}/o.db"
    own = pwd.getpwuid(os.getuid()).pw_dir
    assert load(None, {"HOME": "", "AFFECTD_OUTBOX_PATH": "~/o.db"}).outbox.path == f"{own}/o.db"


def test_what_is_no_path_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "affectd.toml"
    file.write_text("[inference]\ndelegate = 'libteflon.so'\n")
    assert load(file, {}).inference.delegate == "libteflon.so"
    assert load(None, {}) == Config()
    for source in ("auto", "0", "rtsp://cam/1", "/dev/video0"):
        assert load(None, {"AFFECTD_CAMERA_SOURCE": source}).camera.source == source


def test_a_missing_file_is_shown_as_written_and_as_it_became(tmp_path: Path) -> None:
    file = tmp_path / "affectd.toml"
    file.write_text("[mqtt]\nca_file = 'ca.pem'\n")
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    assert f'{file}, line 2: mqtt.ca_file = "ca.pem" ({tmp_path}/ca.pem): must be a file' in str(caught.value)
    file.write_text("[mqtt]\nusername = 'box'\npassword_file = 'hunter2'\n")
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("key", ["mqtt.ca_file", "outbox.path", "privacy.switch_file", "camera.source"])
def test_the_home_of_a_user_that_is_not_there_is_refused(tmp_path: Path, key: str) -> None:
    table, name = key.split(".")
    file = tmp_path / "affectd.toml"
    file.write_text(f"[{table}]\n{name} = '~missinguser/x.mp4'\n")
    ended = affectd("config", "check", str(file))
    assert ended.returncode == 3
    assert f'line 2: {key} = "~missinguser/x.mp4": ~missinguser is no folder' in ended.stderr
    assert "write the whole path" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize("path", ["/", ".", "state"])
def test_an_outbox_that_is_a_folder_is_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "state").mkdir()
    file = tmp_path / "affectd.toml"
    file.write_text(f"[outbox]\npath = '{path}'\n")
    with pytest.raises(ConfigError, match="is a folder; name a file in it"):
        load(file, {})


@pytest.mark.parametrize("command", ["config check {file}", "run --config {file}", "preview --config {file}"])
def test_without_a_place_for_the_outbox_check_and_service_say_so(tmp_path: Path, command: str) -> None:
    file = tmp_path / "affectd.toml"
    file.write_text("[camera]\nsource = 'off'\n[inference]\nface = 'off'\nvoice = 'off'\n")
    ended = as_nobody_known(*command.format(file=file).split())
    assert ended.returncode == 3
    assert "user 12345 has no home folder; set outbox.path to a file that stays over restarts" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize("environ", ["HOME=/tmp", "STATE_DIRECTORY=/tmp", "AFFECTD_OUTBOX_PATH=/tmp/outbox.db"])
def test_any_place_for_the_outbox_will_do(tmp_path: Path, environ: str) -> None:
    file = tmp_path / "affectd.toml"
    file.touch()
    ended = as_nobody_known("config", "check", str(file), environ=(environ,))
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_tilde_without_a_home_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "affectd.toml"
    file.write_text("[outbox]\npath = '~/outbox.db'\n")
    ended = as_nobody_known("config", "check", str(file))
    assert ended.returncode == 3
    assert 'line 2: outbox.path = "~/outbox.db": ~ is no folder, for HOME is not set' in ended.stderr


def test_the_outbox_lies_where_it_lay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    assert outbox_path(Config()) == tmp_path / ".local/state/affectd/outbox.db"
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/affectd:/var/lib/other")
    assert outbox_path(Config()) == Path("/var/lib/affectd/outbox.db")
    assert privacy_sources(Config()).command_file == Path("/var/lib/affectd/privacy")
    config = dataclasses.replace(Config(), outbox=dataclasses.replace(Config().outbox, path="/srv/o.db"))
    assert outbox_path(config) == Path("/srv/o.db")


def test_check_and_service_see_the_same_files_from_different_folders(tmp_path: Path) -> None:
    write_clip(tmp_path / "kiosk.mp4", frames=flash_and_beep(1.0, 0.5)[0])
    (tmp_path / "models").symlink_to(installed_models())
    (tmp_path / "switch").write_text("0")
    file = tmp_path / "affectd.toml"
    file.write_text(
        "[camera]\nsource = 'kiosk.mp4'\n[inference]\nmodels = 'models'\nface = 'face-vgg16-slim'\n"
        "voice = 'off'\n[clip]\nrealtime = false\n[outbox]\npath = 'state/outbox.db'\n"
        "[privacy]\nswitch_file = 'switch'\n[mqtt]\nhost = '127.0.0.1'\nport = 9\n"
    )
    checked = affectd("config", "check", "affectd.toml", cwd=tmp_path)
    assert (checked.returncode, checked.stderr) == (0, "")
    ran = affectd("run", "--config", str(file), cwd="/")
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "state/outbox.db").is_file()
    (tmp_path / "kiosk.mp4").unlink()
    (tmp_path / "switch").unlink()
    checked = affectd("config", "check", str(file), cwd="/")
    assert checked.returncode == 0
    assert f'warning: camera.source = "{tmp_path}/kiosk.mp4" is nothing that this user can see' in checked.stderr
    assert f'warning: privacy.switch_file = "{tmp_path}/switch" is nothing that this user can see' in checked.stderr


def test_what_this_user_may_not_look_at_is_said_in_a_sentence(tmp_path: Path) -> None:
    shut = tmp_path / "shut"
    (shut / "in").mkdir(parents=True)
    (shut / "in" / "kiosk.mp4").touch()
    shut.chmod(0)
    file = tmp_path / "affectd.toml"
    try:
        for text, said in (
            (f"[mqtt]\nca_file = '{shut}/in/kiosk.mp4'\n", "must be a file that this user can read"),
            (f"[outbox]\npath = '{shut}/in/o.db'\n", f"this user cannot write {shut}/in/o.db"),
            (f"[camera]\nsource = '{shut}/in/kiosk.mp4'\n", "is nothing that this user can see"),
        ):
            file.write_text(text)
            ended = as_nobody_known("config", "check", str(file), environ=("HOME=/tmp",))
            assert said in ended.stderr
            assert len(ended.stderr.splitlines()) == 1
        ended = as_nobody_known("run", "--config", str(file), environ=("HOME=/tmp",))
        assert ended.returncode == 5
        assert ended.stderr == f"affectd: clip {shut}/in/kiosk.mp4: cannot be read: Permission denied\n"
    finally:
        shut.chmod(0o700)
