"""`affectd bench --model FOLDER` for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable

from affectd.cli.bench.alone import Alone
from affectd.cli.bench.at_work import AtWork
from affectd.inference.bundle import Bundle


def document(bundle: Bundle, alone: Iterable[Alone], at_work: Iterable[AtWork]) -> str:
    """Return all that was measured as JSON."""
    found = {
        "bundle": f"{bundle.name} {bundle.version}",
        "task": bundle.task,
        "alone": [each.to_json() for each in alone],
        "pipeline": [each.to_json() for each in at_work],
    }
    return json.dumps(found, indent=2)


def table(bundle: Bundle, alone: Iterable[Alone], at_work: Iterable[AtWork]) -> str:
    """Return all that was measured as two tables."""
    shape = "x".join(str(size) for size in bundle.input_shape[1:])
    lines = [
        f"{bundle.name} {bundle.version}, {bundle.task}, input {shape}",
        f"{'alone':<10}{'runtime':<24}{'on':<12}{'load':>11}{'median':>11}{'p95':>11}{'memory':>11}",
    ]
    for each in alone:
        line = f"{each.workload.kind:<10}{each.workload.runtime!s:<24}{each.accelerator.name:<12}"
        if each.cost is None:
            lines.append(f"{line}  {each.fault}")
            continue
        cost = each.cost
        times = "".join(f"{ms:>8.2f} ms" for ms in (cost.load_ms, cost.median_ms, cost.p95_ms))
        lines.append(f"{line}{times}{cost.memory_mb:>8.1f} MB")
    unit = "frame" if bundle.task == "face" else "hop"
    lines += ["", f"{'in the pipeline':<46}{'network':>11}{unit:>11}{'share':>11}{'count':>11}"]
    for row in at_work:
        lines.append(f"{row.model:<46}{row.network_ms:>8.2f} ms{row.path_ms:>8.2f} ms{row.share:>11.0%}{row.count:>11}")
    return "\n".join(lines if at_work else lines[:-2])
