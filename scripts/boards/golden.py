"""Run the first golden samples of every bundle of a folder on every runtime installed: golden.py FOLDER SAMPLES."""

import sys
from pathlib import Path

from affectd.inference.bundle import Bundle
from affectd.inference.golden import Parity
from affectd.inference.interpreter import Interpreter, installed_runtimes, load_runtime

print(f"{'bundle':<16}{'variant':<9}{'runtime':<16}{'samples':>8}{'same answer':>13}{'mean error':>12}")
samples = int(sys.argv[2])
missed = 0
for manifest in sorted(Path(sys.argv[1]).glob("*/manifest.json")):
    bundle = Bundle.load(manifest.parent)
    golden = bundle.golden()
    for kind in bundle.variants:
        for runtime in installed_runtimes():
            # Not by open_model, whose own proof would be as much again.
            logits = Interpreter(bundle.model_file(kind), load_runtime(runtime)).run(golden.inputs[:samples])
            parity = Parity.of(logits, golden.logits[:samples])
            shortfall = parity.shortfall(kind)
            missed += bool(shortfall)
            print(
                f"{bundle.name:<16}{kind:<9}{runtime:<16}{parity.samples:>8}{parity.agreement:>13.1%}"
                f"{parity.mean_error:>12.4f}  {shortfall or 'ok'}",
                flush=True,
            )
sys.exit(missed > 0)
