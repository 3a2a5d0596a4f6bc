"""What can go wrong on the workstation; the exit codes go on where those of affectd.errors end."""

from affectd.errors import AffectdError

DISK_EXIT_CODE = 10
"""Of an OSError that is none of these: a full disk, a file or folder that must not be written or read."""
INTERRUPTED = 130
"""Exit code after Ctrl-C, as of a shell."""


class DataError(AffectdError):
    """A corpus is not there, or a file of it cannot be read."""

    exit_code = 5


class TrainingError(AffectdError):
    """A training run cannot start, go on or be saved."""

    exit_code = 8


class ConversionError(AffectdError):
    """A model cannot be converted, or its variants are not as good as they must be."""

    exit_code = 9
