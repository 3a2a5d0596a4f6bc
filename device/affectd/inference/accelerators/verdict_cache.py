"""Verdicts kept in the state directory, so that a start does not try again what was tried."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from affectd.inference.accelerators.accelerator import Accelerator, Workload
from affectd.inference.accelerators.limits import may_write_code, memory_limit
from affectd.inference.accelerators.trial import Verdict

KEPT = 32
FILE = "delegates.json"
Key = str


class VerdictCache:
    """The file of verdicts. One that cannot be read counts as empty, one that cannot be written is not: it is a cache.

    But for the verdicts on accelerators that failed in use, which hold until a trial by `affectd check` passes.
    """

    def __init__(self, path: Path, affectd: str) -> None:
        """`affectd` is the version that the verdicts are of."""
        self._path, self._affectd = path, affectd

    def key(self, workload: Workload, accelerator: Accelerator) -> Key:
        """Return what a verdict is of: model, runtime, library, options and affectd, whatever else changes."""
        parts = (
            self._affectd,
            workload.bundle.variant(workload.kind).sha256,
            str(workload.runtime),
            accelerator.name,
            accelerator.fingerprint(),
            accelerator.options,
            accelerator.threads,
        )
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    def find(self, key: Key) -> Verdict | None:
        """Return the verdict that holds here: what failed in use, else the last trial's under the same limits."""
        verdicts = self._read()
        for each in (key, _here(key)):
            match verdicts.get(each):
                case {"fault": str(fault), "ms": float(ms), "share": str(share)}:
                    return Verdict(fault, ms, share)
        return None

    def store(self, key: Key, verdict: Verdict) -> None:
        """Keep a trial's verdict for this system and these limits."""
        self._write({**self._read(), _here(key): _stored(verdict)})

    def store_failure(self, key: Key, fault: str) -> None:
        """Keep that it failed in use, whatever its trial had shown."""
        self._write({**self._read(), key: _stored(Verdict(fault))})

    def drop_failure(self, key: Key) -> None:
        """Forget that it failed in use."""
        self._drop(key)

    def drop_trial(self, key: Key) -> None:
        """Forget what its last trial here showed."""
        self._drop(_here(key))

    def _drop(self, key: Key) -> None:
        verdicts = self._read()
        if verdicts.pop(key, None) is not None:
            self._write(verdicts)

    def _read(self) -> dict[str, Any]:
        with suppress(OSError, ValueError, RecursionError):
            verdicts = json.loads(self._path.read_text(encoding="utf-8"))
            if isinstance(verdicts, dict):
                return verdicts
        return {}

    def _write(self, verdicts: dict[str, Any]) -> None:
        """Replace the file in one step, newest last; one that root wrote stays readable for the service."""
        newest = dict(list(verdicts.items())[-KEPT:])
        draft = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        with suppress(OSError):
            draft.write_text(json.dumps(newest, indent=1), encoding="utf-8")
            draft.chmod(0o644)
            draft.replace(self._path)


def _stored(verdict: Verdict) -> dict[str, Any]:
    return {"fault": verdict.fault, "ms": verdict.ms, "share": verdict.share}


def _here(key: Key) -> Key:
    """Return the key under this kernel, whose drivers it brings, and these limits, which a trial may have died of."""
    system = json.dumps((os.uname().release, memory_limit(), may_write_code()))
    return f"{key}-{hashlib.sha256(system.encode()).hexdigest()[:8]}"
