"""Have `affectd check` and `affectd run` meet every bad delegate: called by scripts/boards/delegates."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from affectd.inference.interpreter import installed_runtimes
from e2e.completeness import EVENT, HEALTH, count, restless
from e2e.program import Affectd, command, environment
from support.broker import Listener, Mosquitto
from support.delegates import FAULTS, build_delegate

AT_ONCE = 3
GOOD = "takes the pooling, answers right"
CASES = {
    GOOD: ("", (), ""),
    **{fault: (fault, (), said) for fault, said in FAULTS.items()},
    "aborts when loaded": ("", ("-DLOAD_ABORT",), "died of SIGABRT while it was loaded"),
    "is no delegate": ("", ("-DFOREIGN",), "not a TFLite delegate"),
}


@dataclass(frozen=True)
class Outcome:
    """What one library did to one runtime."""

    wrong: str
    """Why it is not as it should be; empty when it is."""
    check: str
    check_s: float
    first_s: float
    """From the start to the first event, with the trial in it."""
    again_s: float
    """The same at the next start, which remembers."""


def main() -> int:
    """Print the table; return 1 when a command did not survive, or said another thing."""
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {AT_ONCE} at a time; face-vgg16-slim int8\n")
    print(f"{'runtime':<16}{'delegate':<34}{'check':>8}{'event':>8}{'again':>8}  what check says")
    failed = 0
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(AT_ONCE) as pool:
        jobs = [(runtime, case) for runtime in installed_runtimes() for case in CASES]
        outcomes = pool.map(lambda job: _meet(Path(name) / re.sub(r"\W", "-", "-".join(job)), *job), jobs)
        for (runtime, case), outcome in zip(jobs, outcomes, strict=True):
            times = "".join(f"{each:>6.1f} s" for each in (outcome.check_s, outcome.first_s, outcome.again_s))
            print(f"{runtime:<16}{case:<34}{times}  {outcome.wrong or outcome.check}", flush=True)
            failed += bool(outcome.wrong)
    print(f"\n{failed} of {len(jobs)} went wrong" if failed else "\nproved")
    return bool(failed)


def _meet(folder: Path, runtime: str, case: str) -> Outcome:
    """Check the library, start a daemon with it twice, and wait for events each time."""
    fault, flags, said = CASES[case]
    folder.mkdir()
    library = build_delegate(folder / "delegate.so", *flags, fault=fault)
    inference = {"face": "face-vgg16-slim", "voice": "off", "runtime": runtime, "delegate": str(library)}
    with Mosquitto(folder) as broker:
        daemon = restless(folder / "box", broker, inference=inference)
        began = time.monotonic()
        finding = _check(daemon)
        check_s, shown = time.monotonic() - began, finding["advice"] or finding["found"]
        first_s, used = _run(daemon, broker)
        again_s, again = _run(daemon, broker)
    expected = str(library) if case == GOOD else "cpu"
    wrong = ""
    if said not in shown:
        wrong = f"check said: {shown}"
    elif not used["delegate"] == again["delegate"] == expected or said not in (used["delegate_reason"] or ""):
        wrong = f"run used {used}, then {again}"
    return Outcome(wrong, _short(shown, library), check_s, first_s, again_s)


def _check(daemon: Affectd) -> dict[str, str]:
    ended = subprocess.run(
        command("check", "--json", "--config", str(daemon.settings_file)),
        env=environment(),
        capture_output=True,
        check=False,
        timeout=300,
    )
    return next(each for each in json.loads(ended.stdout) if each["part"] == "face model")


def _run(daemon: Affectd, broker: Mosquitto) -> tuple[float, dict[str, str | None]]:
    """Start the daemon, wait for an event, end it; return how long that took and what health says of the model."""
    with Listener(broker, EVENT, HEALTH) as listener, daemon:
        began = time.monotonic()
        listener.wait_for(lambda messages: count(messages) >= 1, 300)
        took = time.monotonic() - began
        listener.wait_for(lambda messages: any(each.topic == HEALTH for each in messages))
        daemon.send(signal.SIGTERM)
        assert daemon.wait() == 0, daemon.log
        return took, listener.on(HEALTH)[-1].json["models"]["face"]


def _short(sentence: str, library: Path) -> str:
    """Leave out paths and what is the same in every row."""
    sentence = sentence.replace("the CPU does the work, for the delegate failed: ", "cpu: ")
    sentence = re.sub(r"^.* int8 \(.*\) on [^,]*, ", "", sentence)
    sentence = sentence.replace(f"{library}: ", "").replace(str(library), "it")
    return re.sub(r"/\S*/(?=[\w.-]+\.tflite)", "", sentence)


if __name__ == "__main__":
    sys.exit(main())
