"""The process that tries an accelerator, so that whatever its native code does happens here and not in the daemon.

python -m affectd.inference.accelerators.probe DESCRIPTOR SECONDS < job.json

`trial.py` starts it. It writes JSON lines to DESCRIPTOR: {"step": ...} before each step, at last {"ms", "share"} or
{"fault"}; and it ends itself after so many SECONDS, should whoever started it be gone.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

STEPS = ("while it was loaded", "in its first inference", "on the golden samples", "while it was closed")


def main(descriptor: int, seconds: int) -> None:
    """Try what standard input names."""
    signal.alarm(seconds)  # the kernel ends it then, whatever holds the interpreter's lock
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would take the card's space
    job = json.load(sys.stdin)

    def report(**what: Any) -> None:
        os.write(descriptor, json.dumps(what).encode() + b"\n")

    # Slow to import, and its own faults are not the accelerator's.
    from affectd.errors import ModelError
    from affectd.inference.accelerators.catalogue import named
    from affectd.inference.bundle import Bundle
    from affectd.inference.interpreter import load_runtime
    from affectd.inference.proof import prove

    bundle, runtime = Bundle.load(Path(job["bundle"])), load_runtime(job["runtime"])
    path, golden, kind = bundle.model_file(job["kind"]), bundle.golden(), job["kind"]
    accelerator = named(job["delegate"], job["options"], job["threads"])
    try:
        report(step=STEPS[0])
        opened = accelerator.open(path, runtime)
        report(step=STEPS[1])
        opened.network(golden.inputs[0])
        report(step=STEPS[2])
        ms = prove(bundle, kind, golden, opened.network, on_sample=lambda: report(step=STEPS[2]))
        share = opened.share
        report(step=STEPS[3])
        del opened
        gc.collect()
    except (ModelError, MemoryError, RuntimeError, ValueError) as error:
        report(fault=" ".join(str(error).split()) or type(error).__name__)
    else:
        report(ms=ms, share=share)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
