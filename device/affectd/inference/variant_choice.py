"""Which of a bundle's variants runs: the one that the settings name, or the best that is there."""

from __future__ import annotations

from affectd.errors import ModelError
from affectd.inference.accelerators import gpu
from affectd.inference.bundle import Bundle
from affectd.inference.golden import BARS

AUTO = "auto"
BEST_FIRST = ("int8", "dynamic", "float16", "float32")
"""int8 is the smallest, the fastest on most boxes and what most accelerators run; float16 answers as float32 does, in
half of the bytes."""


def choose_variant(bundle: Bundle, wanted: str, delegate: str) -> tuple[str, str]:
    """Return the kind of variant to run, and why it is another than the best where it is.

    `wanted` is a kind, or 'auto' for the best whose file is there and which agrees with its float parent as well as
    its kind should; what LiteRT's GPU runs comes first for the delegate 'gpu'. Raises ModelError when none is there.
    """
    if wanted != AUTO:
        return bundle.variant(wanted).kind, ""
    order = sorted(BEST_FIRST, key=lambda kind: delegate == gpu.NAME and kind not in gpu.KINDS)
    there = [kind for kind in order if kind in bundle.variants and bundle.has_file(kind)]
    if not there:
        named = ", ".join(variant.file for variant in bundle.variants.values())
        raise ModelError(f"{bundle.folder}: of {named}, which its manifest names, none is there; copy the bundle again")
    faults = {kind: fault for kind in there if (fault := _fault(bundle, kind))}
    kind = next((kind for kind in there if kind not in faults), None)
    if kind is None:
        kind = max(there, key=lambda kind: bundle.variant(kind).agreement)
    return kind, "; ".join(faults[each] for each in there[: there.index(kind)] if each in faults)


def _fault(bundle: Bundle, kind: str) -> str:
    """Return why a variant is not to be preferred, or nothing."""
    agreement, least = bundle.variant(kind).agreement, BARS[kind].agreement
    return "" if agreement >= least else f"{kind} answers as its float parent in {agreement:.1%}, not {least:.1%}"
