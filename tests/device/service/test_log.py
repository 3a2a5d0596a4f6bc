"""Log lines as a child process writes them, for a person and for the journal."""

import os
import subprocess
import sys

PROGRAM = """
import logging
from affectd.service.log import set_up_logging
set_up_logging("DEBUG")
logging.error("no camera")
try:
    1 / 0
except ZeroDivisionError:
    logging.debug("worker ended with", exc_info=True)
"""


def written(tmp_path, *, journal):
    with (tmp_path / "stderr").open("w+") as stream:
        status = os.fstat(stream.fileno())
        environment = {**os.environ, "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}" if journal else "1:2"}
        subprocess.run([sys.executable, "-c", PROGRAM], stderr=stream, env=environment, check=True, timeout=60)
        stream.seek(0)
        return stream.read().splitlines()


def test_journal_gets_a_priority_on_every_line(tmp_path):
    first, *traceback = written(tmp_path, journal=True)
    assert first == "<3>no camera"
    assert len(traceback) > 3
    assert all(line.startswith("<7>") for line in traceback)


def test_person_gets_time_and_level(tmp_path):
    first = written(tmp_path, journal=False)[0]
    assert first.endswith("ERROR   no camera")
    assert not first.startswith("<")
