"""What can go wrong that a person must mend, and the exit code each kind ends with.

Every message says what was wrong, where, and what to do. Exit codes are part of the interface
(README, Exit codes): 0 success, 1 a fault of affectd itself, 2 wrong command line.
"""


class AffectdError(Exception):
    """A fault with a sentence for the person who must mend it."""

    exit_code = 1


class ConfigError(AffectdError):
    """The configuration cannot be read or has a value that is not allowed."""

    exit_code = 3


class ModelError(AffectdError):
    """A bundle, its manifest, a checksum, a model file, a runtime or an accelerator does not fit."""

    exit_code = 4


class CaptureError(AffectdError):
    """A camera, microphone or clip is not there, cannot be read, or stopped delivering."""

    exit_code = 5


class BrokerError(AffectdError):
    """The MQTT broker cannot be reached or refuses."""

    exit_code = 6


class OutboxError(AffectdError):
    """The store of events not yet delivered cannot be opened or written, or another process has it open."""

    exit_code = 7
