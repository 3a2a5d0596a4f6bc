"""Drive one target of targets.py with Atheris: python tests/fuzz/fuzz.py TARGET RUNS."""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path

import atheris

PARSERS = {"config": ["tomllib"], "environment": ["tomllib"], "golden": ["zipfile", "numpy.lib"]}
"""What a target parses with besides affectd's own code and json: instrumenting all of it takes long."""

with atheris.instrument_imports(include=["affectd", "json", *PARSERS.get(sys.argv[1], [])]):
    import targets

LONGEST = 1 << 18
FINDINGS = Path(__file__).parents[2] / "fuzz-findings"


def main() -> None:
    """Run the fuzzer; it ends the process, with 77 at a finding."""
    name, runs = sys.argv[1:]
    logging.disable(logging.CRITICAL)
    # New inputs go to a folder of their own; the kept corpus is only read.
    new = tempfile.mkdtemp(prefix="affectd-corpus-")
    longest = max([4096, *(min(2 * len(seed), LONGEST) for seed in targets.seeds(name))])
    options = [f"-runs={runs}", f"-max_len={longest}", "-timeout=60", "-print_final_stats=1"]
    options.append(f"-artifact_prefix={FINDINGS}/{name}-")
    atheris.Setup([sys.argv[0], *options, new, str(targets.CORPUS / name)], targets.TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
