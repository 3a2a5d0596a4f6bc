"""The process that measures one network: python -m affectd.cli.bench.probe < job.json

`alone.py` starts it. Its last line is JSON: what the network costs, or {"fault": ...}.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from affectd.errors import ModelError
from affectd.inference.accelerators.accelerator import FloatArray, Network
from affectd.inference.accelerators.catalogue import named
from affectd.inference.bundle import Bundle
from affectd.inference.interpreter import load_runtime
from affectd.inference.proof import prove

INFERENCES = 100
LONGEST_S = 15.0
"""On a box that is too slow for all of them, those of this time are measured."""


def main() -> None:
    """Measure what standard input names."""
    job = json.load(sys.stdin)
    bundle, runtime = Bundle.load(Path(job["bundle"])), load_runtime(job["runtime"])
    path, golden = bundle.model_file(job["kind"]), bundle.golden()
    accelerator = named(job["delegate"], job["options"], job["threads"])
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # what was resident at most so far is forgotten, see proc(5)
    before_mb, began = _memory_mb("VmRSS"), time.perf_counter()
    try:
        network = accelerator.open(path, runtime).network
        load_ms = 1000 * (time.perf_counter() - began)
        prove(bundle, job["kind"], golden, network)
        took = _milliseconds(network, golden.inputs)
    except (ModelError, MemoryError, RuntimeError) as error:
        print(json.dumps({"fault": " ".join(str(error).split()) or type(error).__name__}))
        return
    median, p95 = np.percentile(took, (50, 95))
    cost = {"load_ms": load_ms, "median_ms": float(median), "p95_ms": float(p95), "count": len(took)}
    print(json.dumps({**cost, "memory_mb": _memory_mb("VmHWM") - before_mb}))


def _milliseconds(network: Network, inputs: FloatArray) -> list[float]:
    """Time one inference after the other, on the samples in turn."""
    took: list[float] = []
    end = time.monotonic() + LONGEST_S
    for x in itertools.islice(itertools.cycle(inputs), INFERENCES):
        began = time.perf_counter()
        network(x)
        took.append(1000 * (time.perf_counter() - began))
        if time.monotonic() > end:
            break
    return took


def _memory_mb(name: str) -> float:
    """Read this process's resident memory, now (VmRSS) or at most so far (VmHWM), MB."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status[name].split()[0]) * 1024 / 1e6


if __name__ == "__main__":
    main()
