"""Run the papers' protocols on the data at hand, each network once per split, and print the table.

python -m affectd_convert.papers --data ~/data --run runs/papers [--protocol NAME ...]
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from affectd.errors import AffectdError
from affectd_convert.errors import TrainingError
from affectd_convert.papers import experiments, results


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the protocols asked for that have no result yet; return the exit code."""
    options = _parser().parse_args(arguments)
    # Before Keras is imported.
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        options.run.mkdir(parents=True, exist_ok=True)
        experiments.run_missing(options.protocol, options.data, options.run)
        print(results.table(results.read(options.run)))
    except AffectdError as error:
        print(f"papers: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"papers: {error}; the results so far are in {options.run / results.FILE}", file=sys.stderr)
        return TrainingError.exit_code
    except KeyboardInterrupt:
        print("papers: stopped; the same command goes on after the last result", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m affectd_convert.papers", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with the speech corpora and FER2013")
    parser.add_argument("--run", type=Path, required=True, help="folder for the results; the same command goes on")
    names = experiments.NAMES
    parser.add_argument("--protocol", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    return parser


if __name__ == "__main__":
    sys.exit(main())
