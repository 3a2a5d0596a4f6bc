"""What a network takes of the daemon's work on a frame or a hop."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from affectd.cli.bench.alone import Alone
from affectd.cli.bench.stages import Samples, measure_face, measure_voice
from affectd.config import Config
from affectd.inference.accelerators.choice import Wanted
from affectd.inference.model import open_model


@dataclass(frozen=True, slots=True)
class AtWork:
    """A variant at work: milliseconds over the frames with a face in them, or the hops in which somebody speaks."""

    model: str
    """What runs it."""
    network_ms: float
    """Median of what the network takes of one; several faces in a frame are as many inferences."""
    path_ms: float
    """Median of all that is done for one, from the picture or the sound to probabilities."""
    share: float
    """Of the network in the time of them all, 0..1."""
    count: int

    def to_json(self) -> dict[str, object]:
        """Return the numbers, three decimals."""
        return {
            "model": self.model,
            "network_ms": round(self.network_ms, 3),
            "path_ms": round(self.path_ms, 3),
            "share": round(self.share, 3),
            "count": self.count,
        }


def measure_at_work(alone: Iterable[Alone], config: Config) -> list[AtWork]:
    """Play the settings' clip to the fastest of each variant; without one where it shows no face or nobody speaks."""
    found = [_measure(each, config) for each in _fastest(alone)]
    return [each for each in found if each is not None]


def _fastest(alone: Iterable[Alone]) -> list[Alone]:
    """Return of each variant what ran it right in the least time."""
    best: dict[str, tuple[float, Alone]] = {}
    for each in alone:
        kind = each.workload.kind
        if each.cost is not None and (kind not in best or each.cost.median_ms < best[kind][0]):
            best[kind] = each.cost.median_ms, each
    return [each for _, each in best.values()]


def _measure(best: Alone, config: Config) -> AtWork | None:
    """Measure the daemon's work on the clip with this model; None where the clip shows no face, or nobody speaks."""
    bundle, on = best.workload.bundle, best.accelerator
    wanted = Wanted(on.name, on.options, on.threads)
    model = open_model(bundle, best.workload.kind, runtime=best.workload.runtime.key, wanted=wanted)
    samples = Samples()
    if bundle.task == "face":
        measure_face(config, model, samples, {})
    else:
        measure_voice(config, model, samples)
    stages = {stage.name: stage for stage in samples.stages()}
    network, path = stages.get(f"{bundle.task}: classify"), stages.get(f"{bundle.task} path")
    if network is None or path is None:
        return None
    share = samples.total_ms(network.name) / samples.total_ms(path.name)
    return AtWork(
        f"{best.workload.kind} on {model.runtime}, {model.delegate}",
        network.median_ms,
        path.median_ms,
        share,
        path.count,
    )
