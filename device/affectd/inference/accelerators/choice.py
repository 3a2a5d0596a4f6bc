"""Which accelerator a model runs on: the configured one, or the fastest that is right, else the CPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from affectd.inference.accelerators.accelerator import Accelerator, Workload
from affectd.inference.accelerators.catalogue import named, present
from affectd.inference.accelerators.cpu import NAME as CPU
from affectd.inference.accelerators.cpu import Cpu, thread_counts
from affectd.inference.accelerators.trial import Verdict
from affectd.inference.accelerators.trials import Trials

AUTO = "auto"
GAIN = 0.9
"""What is to replace something simpler, one thread or the CPU, must take less than this share of its time."""

Judge = Callable[[Accelerator], Verdict]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The settings of models and accelerators."""

    delegate: str = CPU
    """'cpu', 'auto', a name of the catalogue, or a library's path."""
    options: str = ""
    threads: int = 1
    """0: as many as are fastest."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What a model is to run on."""

    accelerator: Accelerator
    reason: str = ""
    """Why it is not the configured one, or why `auto` took it; empty where there is nothing to explain."""
    verdict: Verdict | None = None
    """What the trial showed; None for a CPU that needed none."""
    fell_back: bool = False
    """Whether the configured one failed."""

    def __str__(self) -> str:
        """Name it, with what the trial showed, as in 'teflon (13 of 22 operations, 4.1 ms)'."""
        shown = [self.accelerator.name]
        threads = self.accelerator.threads
        if self.accelerator.name == CPU and threads > 1:
            shown.append(f"with {threads} threads")
        if self.verdict is not None and self.verdict.good:
            shown.append(f"({self.verdict.share}, {self.verdict.ms:.3g} ms)")
        return " ".join(shown)


def choose(wanted: Wanted, workload: Workload, trials: Trials) -> Choice:
    """Return what the workload is to run on; none of an accelerator's code is called in this process."""
    threads = wanted.threads

    def judge(accelerator: Accelerator) -> Verdict:
        return trials.verdict(workload, accelerator)

    if wanted.delegate == AUTO:
        return _fastest(present(workload.kind, workload.runtime.key, threads or 1), threads, judge)
    if wanted.delegate == CPU:
        cpu, verdict = _cpu(threads, judge)
        return Choice(cpu, verdict=verdict)
    accelerator = named(wanted.delegate, wanted.options, threads or 1)
    verdict = judge(accelerator)
    if verdict.good:
        return Choice(accelerator, verdict=verdict)
    cpu, cpu_verdict = _cpu(threads, judge)
    return Choice(cpu, f"{wanted.delegate}: {verdict.fault}", cpu_verdict, fell_back=True)


def _fastest(candidates: list[Accelerator], threads: int, judge: Judge) -> Choice:
    cpu, best = _cpu(threads, judge, measured=bool(candidates))
    chosen: Accelerator = cpu
    results = [f"{CPU}: {best.ms:.3g} ms"] if best is not None and best.good else []
    for accelerator in candidates:
        verdict = judge(accelerator)
        results.append(f"{accelerator.name}: " + (f"{verdict.ms:.3g} ms" if verdict.good else verdict.fault))
        limit = GAIN if chosen is cpu else 1.0
        if verdict.good and (best is None or not best.good or verdict.ms < limit * best.ms):
            chosen, best = accelerator, verdict
    return Choice(chosen, "; ".join(results) or "no accelerator is here", best)


def _cpu(threads: int, judge: Judge, *, measured: bool = False) -> tuple[Cpu, Verdict | None]:
    """Return the CPU with so many threads, or with as many as are fastest; and its verdict where it was measured."""
    if threads:
        cpu = Cpu(threads)
        return cpu, judge(cpu) if measured else None
    best = Cpu(1)
    verdict = judge(best)
    for count in thread_counts()[1:]:
        other = judge(Cpu(count))
        if other.good and (not verdict.good or other.ms < GAIN * verdict.ms):
            best, verdict = Cpu(count), other
    return best, verdict
