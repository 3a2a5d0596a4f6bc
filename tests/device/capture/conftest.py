"""Which tests of cameras this Python can run."""

from __future__ import annotations

import sys

from support.gstreamer import find_gi

collect_ignore = [] if find_gi() else ["test_gstreamer_camera.py"]


def pytest_report_header() -> str:
    if not collect_ignore:
        return "GStreamer: tested"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return f"GStreamer: not tested, for there is no PyGObject (python3-gi) for Python {version} here"
