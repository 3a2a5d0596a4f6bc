"""What Keras, HDF5 and PyTorch raise of a file that is damaged or of another kind, as one sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from zipfile import BadZipFile

from affectd_convert.errors import TrainingError

DAMAGED = (OSError, EOFError, KeyError, ValueError, RuntimeError, BadZipFile, UnpicklingError)


@contextmanager
def reading(checkpoint: Path) -> Iterator[None]:
    """Raise TrainingError when the checkpoint that is read inside is damaged, or of another network."""
    try:
        yield
    except DAMAGED as error:
        raise TrainingError(
            f"{checkpoint}: cannot be read: {first_sentence(error)}; remove the run's folder to begin anew"
        ) from error


def first_sentence(error: Exception) -> str:
    """Return what an error says before it goes on for lines; its kind where it says nothing."""
    return re.split(r"\n|\. ", str(error).strip(), maxsplit=1)[0].rstrip(".:") or type(error).__name__
