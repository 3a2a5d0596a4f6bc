"""Verdicts on accelerators: remembered ones, else by a trial."""

from __future__ import annotations

from affectd.inference.accelerators.accelerator import Accelerator, Workload
from affectd.inference.accelerators.in_use import InUse
from affectd.inference.accelerators.trial import Verdict, try_out
from affectd.inference.accelerators.verdict_cache import VerdictCache
from affectd.inference.bundle import Bundle

UNTIL = "it is left alone until 'affectd check' finds it right"


class Trials:
    """Judges accelerators, and keeps what it found where it has a cache."""

    def __init__(self, cache: VerdictCache | None = None, in_use: InUse | None = None, *, anew: bool = False) -> None:
        """With `in_use`, what the daemon before died with is never called; `anew` tries even what is remembered."""
        self._cache, self._in_use, self._anew = cache, in_use, anew
        self._used: dict[str, str] = {}
        """Key of what runs each bundle, by its name."""
        if cache and in_use:
            for key, doing in in_use.leftovers():
                cache.store_failure(key, f"affectd ended without a stop while it was {doing}; {UNTIL}")

    def verdict(self, workload: Workload, accelerator: Accelerator) -> Verdict:
        """Return whether the accelerator runs the workload right, and how fast.

        Raises ModelError where the model itself is damaged.
        """
        workload.bundle.model_file(workload.kind)
        if self._cache is None:
            return try_out(workload, accelerator)
        key = self._cache.key(workload, accelerator)
        known = None if self._anew else self._cache.find(key)
        if known is not None:
            return known
        if self._in_use:
            self._in_use.mark(key, "tried")
        verdict = try_out(workload, accelerator)
        if self._in_use:
            self._in_use.unmark(key)
        if verdict.good:
            self._cache.drop_failure(key)
        if self._anew and not verdict.good:
            self._cache.drop_trial(key)  # it may be in use elsewhere: whoever wants it tries for itself
        elif verdict.lasting and accelerator.fingerprint():
            self._cache.store(key, verdict)
        return verdict

    def about_to_use(self, workload: Workload, accelerator: Accelerator) -> None:
        """Mark the accelerator, whose code this process is about to call."""
        if self._cache and self._in_use:
            key = self._used[workload.bundle.name] = self._cache.key(workload, accelerator)
            self._in_use.mark(key, "used")

    def not_used(self, bundle: Bundle) -> None:
        """Take the mark back, for the accelerator refused and no code of it runs in this process."""
        key = self._used.pop(bundle.name, None)
        if self._in_use and key:
            self._in_use.unmark(key)

    def failed_in_use(self, bundle: Bundle, fault: str) -> None:
        """Remember what the accelerator that runs the bundle did after a good trial."""
        key = self._used.pop(bundle.name, None)
        if self._cache and key:
            self._cache.store_failure(key, f"{fault}; {UNTIL}")
