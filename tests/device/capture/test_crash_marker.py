"""What the next start learns of one that ended inside a camera's library, with a process that really ends there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from affectd.capture.crash_marker import CrashMarker
from affectd.errors import CaptureError

ENDS_INSIDE = """
import os, sys
from pathlib import Path
from affectd.capture.crash_marker import CrashMarker

CrashMarker(Path(sys.argv[1]), "libcamera").enter("picamera")
os.abort()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inside-camera-library.json"


def end_inside(path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", ENDS_INSIDE, str(path)], check=False, stderr=subprocess.DEVNULL)
    assert ended.returncode < 0


def wait_over(path: Path) -> None:
    """Let it be long ago that the library was entered."""
    mark = json.loads(path.read_text())
    path.write_text(json.dumps({**mark, "at_s": mark["at_s"] - 10_000}))


def waits_s(path: Path) -> float:
    with pytest.raises(
        CaptureError, match=r"the last start of affectd ended inside libcamera \(\d in a row\)"
    ) as caught:
        CrashMarker(path, "libcamera").enter("picamera")
    found = re.search(r"in (\d+) s, or at once when .* is removed", str(caught.value))
    assert found is not None
    return float(found[1])


def test_each_end_in_a_row_is_waited_for_longer(path: Path) -> None:
    end_inside(path)
    assert 5 < waits_s(path) <= 10
    for longest in (40, 160, 640, 2560, 3600, 3600):
        wait_over(path)
        end_inside(path)
        assert longest / 2 < waits_s(path) <= longest


def test_listing_the_cameras_forgets_nothing_and_a_picture_all(path: Path) -> None:
    end_inside(path)
    wait_over(path)
    marker = CrashMarker(path, "libcamera")
    marker.enter("picamera")  # lists them
    marker.leave()
    end_inside(path)
    assert waits_s(path) > 10
    wait_over(path)
    marker.enter("picamera")
    marker.leave(proven=True)
    assert not path.exists()
    marker.leave()


def test_what_was_left_before_the_box_started_tells_nothing(path: Path) -> None:
    end_inside(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "boot": "another"}))
    CrashMarker(path, "libcamera").enter("picamera")


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"boot": 1}', "\x00\x00"])
def test_a_file_that_says_nothing_is_none(path: Path, content: str) -> None:
    path.write_text(content)
    CrashMarker(path, "libcamera").enter("picamera")


def test_a_process_that_still_runs_has_not_ended(path: Path) -> None:
    CrashMarker(path, "libcamera").enter("picamera")
    CrashMarker(path, "libcamera").enter("picamera")


def test_without_a_place_nothing_is_marked(tmp_path: Path) -> None:
    for marker in (CrashMarker(None, "libcamera"), CrashMarker(tmp_path / "gone" / "inside", "libcamera")):
        marker.enter("picamera")
        marker.leave()
