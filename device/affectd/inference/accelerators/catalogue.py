"""Which accelerators there are, by their name in the settings, and which of them this box may have."""

from __future__ import annotations

from affectd.inference.accelerators.accelerator import Accelerator
from affectd.inference.accelerators.cpu import NAME as CPU
from affectd.inference.accelerators.cpu import Cpu
from affectd.inference.accelerators.external import KNOWN, External, find_library
from affectd.inference.accelerators.gpu import KINDS, Gpu
from affectd.inference.accelerators.gpu import NAME as GPU


def named(delegate: str, options: str, threads: int) -> Accelerator:
    """Return what `inference.delegate` names: 'cpu', 'gpu', a known library's name, or a library's path."""
    if delegate == CPU:
        return Cpu(threads)
    if delegate == GPU:
        return Gpu()
    return External(delegate, options, threads)


def present(kind: str, runtime_key: str, threads: int) -> list[Accelerator]:
    """Return the accelerators that this box may have for a model of this kind; nothing of theirs is loaded."""
    found: list[Accelerator] = [External(name, "", threads) for name, each in KNOWN.items() if find_library(each.file)]
    if runtime_key == "litert" and kind in KINDS:
        found.append(Gpu())
    return found
