"""The real outbox and the real publisher in processes that cost milliseconds to start, for tests that kill many.

A program of its own is loaded once and forks one publisher a time: `forked_publisher.py PORT FOLDER`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

from support.publishing import running, state
from support.waiting import until

EVERY_S = 0.008
"""From one event to the next."""
DRAINED_S = 60.0


class Nursery:
    """Starts publishers while entered, one at a time, on the same outbox and with the same client id."""

    def __init__(self, port: int, folder: Path) -> None:
        self._command = [sys.executable, __file__, str(port), str(folder)]
        self._progress = folder / "progress"

    def __enter__(self) -> Nursery:
        self._parent = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self._expect("loaded")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._parent.kill()
        self._parent.wait()

    def seconds_to_connect(self) -> float:
        """Return how long a publisher takes, from its start, until it has a connection; it is killed then."""
        began = time.monotonic()
        self._start()
        until(lambda: self._progress.exists() and "connected" in self._progress.read_text())
        took = time.monotonic() - began
        self._kill()
        return took

    def kill_one_after(self, seconds: float) -> list[str]:
        """Start a publisher that publishes without end, kill it so much later; give what it had done by then."""
        self._start()
        time.sleep(seconds)
        self._kill()
        return self._progress.read_text().splitlines() if self._progress.exists() else []

    def _start(self) -> None:
        self._progress.unlink(missing_ok=True)
        self._pid = int(self._ask("start"))

    def _kill(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
        assert self._ask("reap") == str(-signal.SIGKILL), "it had ended before it was killed"

    def drain(self) -> list[str]:
        """Let a last one publish one event and end in order, once all that waits is sent; give what it did."""
        assert self._ask("drain") == "0"
        return self._progress.read_text().splitlines()

    def _ask(self, what: str) -> str:
        assert self._parent.stdin is not None
        self._parent.stdin.write(what + "\n")
        self._parent.stdin.flush()
        return self._expect()

    def _expect(self, answer: str | None = None) -> str:
        assert self._parent.stdout is not None
        line = self._parent.stdout.readline().strip()
        assert line, "the parent of the publishers has ended"
        assert answer in (None, line)
        return line


def main() -> None:
    """Obey `start`, `reap` and `drain`, a line each; answer with a line."""
    port, folder = int(sys.argv[1]), Path(sys.argv[2])
    print("loaded", flush=True)
    pid = 0
    for line in sys.stdin:
        what = line.strip()
        if what == "start":
            pid = _fork(port, folder, endless=True)
            print(pid, flush=True)
        else:
            if what == "drain":
                pid = _fork(port, folder, endless=False)
            print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _fork(port: int, folder: Path, *, endless: bool) -> int:
    """Start a child that publishes and notes its steps in the file `progress`; give its pid."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        notes = os.open(folder / "progress", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with running(port, folder) as box:
            os.write(notes, b"opened\n")
            connected = False
            while True:
                os.write(notes, b"%d\n" % box.publisher.publish_event(state()).seq)
                if not endless:
                    until(lambda: box.connected and box.outbox.depth == 0, DRAINED_S)
                    break
                if not connected and box.connected:
                    connected = True
                    os.write(notes, b"connected\n")
                time.sleep(EVERY_S)
        code = 0
    finally:
        os._exit(code)  # what the parent has loaded is not to be torn down again


if __name__ == "__main__":
    main()
