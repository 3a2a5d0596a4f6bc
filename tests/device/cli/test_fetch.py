"""`affectd fetch blazeface` with a real pip that reaches nothing but a folder, and the settings without the file."""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from affectd.errors import ModelError
from affectd.face import blazeface_fetch, blazeface_file
from affectd.face.blazeface_fetch import LICENCE, MEMBER, fetch
from affectd.face.blazeface_file import FILE, fault_of, folder

WHEEL_NAME = "mediapipe-0.10.14-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all that pip sees of the world."""
    links = tmp_path / "wheels"
    links.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    return links


def put_wheel(wheels: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    """Make a wheel with this in the place of BlazeFace's file, and let its hash be the one that is asked for."""
    path = wheels / WHEEL_NAME
    info = "mediapipe-0.10.14.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(MEMBER, content)
        wheel.writestr(LICENCE, "Apache License 2.0")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: mediapipe\nVersion: 0.10.14\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: cp311-cp311-manylinux_2_17_x86_64\n")
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setattr(blazeface_fetch, "WHEEL_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())


def test_the_file_comes_out_of_the_wheel_for_everybody_to_read(tmp_path, wheels, monkeypatch) -> None:
    put_wheel(wheels, monkeypatch, (folder() / FILE).read_bytes())
    target = tmp_path / "detectors" / "blazeface"
    umask = os.umask(0o077)
    try:
        fetch(target)
    finally:
        os.umask(umask)
    assert fault_of(target / FILE) == ""
    assert sorted(path.name for path in target.iterdir()) == ["LICENSE", FILE, "manifest.json"]
    assert {path.stat().st_mode & 0o777 for path in target.iterdir()} == {0o644}
    assert {path.stat().st_mode & 0o777 for path in (target, target.parent)} == {0o755}


def test_without_a_network_it_says_so_and_nothing_is_kept(tmp_path, wheels) -> None:
    with pytest.raises(
        ModelError, match=r"pip cannot fetch mediapipe==0\.10\.14: .*; is the network there\?"
    ) as caught:
        fetch(tmp_path / "target")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("content", [b"<html>Please log in</html>", b"PK\x03\x04 half a wheel"])
def test_what_is_not_the_wheel_is_refused(tmp_path, wheels, content) -> None:
    (wheels / WHEEL_NAME).write_bytes(content)
    with pytest.raises(ModelError, match="pip cannot fetch"):
        fetch(tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_another_file_in_the_right_wheel_is_refused_and_the_old_one_stays(tmp_path, wheels, monkeypatch) -> None:
    put_wheel(wheels, monkeypatch, b"another")
    target = tmp_path / "target"
    shutil.copytree(folder(), target)
    with pytest.raises(ModelError, match="is not the file that it should be; nothing was kept"):
        fetch(target)
    assert fault_of(target / FILE) == ""


def test_a_folder_that_cannot_be_made_is_named(tmp_path, wheels, monkeypatch) -> None:
    put_wheel(wheels, monkeypatch, (folder() / FILE).read_bytes())
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match=r"file/target: cannot be written: File exists$"):
        fetch(tmp_path / "file" / "target")


@pytest.mark.parametrize(("spoil", "fault"), [(Path.unlink, "is not there"), (Path.touch, "")])
def test_a_missing_file_is_a_sentence_with_the_command(tmp_path, monkeypatch, spoil, fault) -> None:
    target = tmp_path / "blazeface"
    shutil.copytree(folder(), target)
    monkeypatch.setattr(blazeface_file, "folder", lambda: target)
    spoil(target / FILE)
    if not fault:
        blazeface_file.open_blazeface(0.1)
        (target / FILE).write_bytes((target / FILE).read_bytes()[:-1])
        fault = "is not the file that it should be"
    with pytest.raises(ModelError, match=f"{fault}.*; fetch it with 'affectd fetch blazeface', or set \"haar\""):
        blazeface_file.open_blazeface(0.1)


def test_run_and_check_without_the_file_name_the_command(tmp_path) -> None:
    """In an environment whose share has none, as a box that was installed without a network."""
    code = (
        "import pathlib, sys; from affectd.face import blazeface_file as file; "
        f"file.folder = lambda: pathlib.Path({str(tmp_path)!r}); "
        "from affectd.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    environ = {
        **os.environ,
        "AFFECTD_FACE_DETECTOR": "blazeface",
        "AFFECTD_OUTBOX_PATH": str(tmp_path / "outbox.db"),
        "AFFECTD_CAMERA_SOURCE": "/dev/video97",
        "AFFECTD_MICROPHONE_SOURCE": "off",
    }
    for command in (["run"], ["check", "--no-config"]):
        ended = subprocess.run(
            [sys.executable, "-c", code, *command], env=environ, capture_output=True, text=True, timeout=90, check=False
        )
        assert "fetch it with 'affectd fetch blazeface'" in ended.stdout + ended.stderr
        assert "Traceback" not in ended.stderr
        if command == ["run"]:
            assert ended.returncode == 4
        else:
            assert "FAILED   detector" in ended.stdout
