"""Measure, on a clip, how long each stage takes and what the whole daemon costs, beside its budgets."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from affectd.cli.options import add_broker_options, add_config_option, existing_clip, load_config, with_clip
from affectd.errors import CaptureError

if TYPE_CHECKING:
    from affectd.cli.bench.daemon import DaemonCost
    from affectd.cli.bench.stages import Stage
    from affectd.config import Config

HELP = "measure latency stage by stage, and the whole daemon; or a model"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `affectd bench`."""
    parser.add_argument(
        "--model",
        type=Path,
        metavar="FOLDER",
        help="measure this bundle instead: each variant, runtime and accelerator by itself, and its share of the work",
    )
    parser.add_argument("--clip", type=Path, metavar="FILE", help="instead of the bundled clip")
    parser.add_argument("--json", action="store_true", help="measurements as JSON")
    add_config_option(parser)
    add_broker_options(parser)


def run(args: argparse.Namespace) -> int:
    """Measure the bundle that was named; else the stages in this process, then the daemon in one of its own."""
    from affectd.service.log import set_up_logging

    set_up_logging("ERROR")
    return _run_daemon(args) if args.model is None else _run_bundle(args)


def _run_bundle(args: argparse.Namespace) -> int:
    from affectd.cli.bench.alone import measure_alone, refuse_wrong
    from affectd.cli.bench.at_work import measure_at_work
    from affectd.cli.bench.bundle_report import document, table
    from affectd.cli.bench.stages import unpaced
    from affectd.inference.bundle import Bundle

    config, bundle = load_config(args), Bundle.load(args.model)
    try:
        config = with_clip(config, existing_clip(args.clip, option="--clip"))
        unpaced(config)
        has_clip = True
    except CaptureError as error:
        if args.clip is not None:
            raise
        _print_progress(f"by itself only: {error}")
        has_clip = False
    _print_progress("measuring every variant, runtime and accelerator ...")
    alone = measure_alone(bundle, config.inference)
    at_work = measure_at_work(alone, config) if has_clip else []
    if has_clip and not at_work and any(each.cost for each in alone):
        _print_progress(
            f"not at work: {config.camera.source} {'shows no face' if bundle.task == 'face' else 'holds no speech'}"
        )
    print((document if args.json else table)(bundle, alone, at_work))
    refuse_wrong(bundle, alone)
    return 0


def _run_daemon(args: argparse.Namespace) -> int:
    from affectd import assembly
    from affectd.cli.bench.broker import bench_broker
    from affectd.cli.bench.daemon import decoding_percent, measure_daemon
    from affectd.cli.bench.stages import measure_stages, unpaced

    clip = existing_clip(args.clip, option="--clip")
    config = load_config(args)
    config = with_clip(assembly.identified(config, assembly.identity(config)), clip)
    _print_progress("measuring stages ...")
    stages, models = measure_stages(config)
    cost = None
    with bench_broker(config.mqtt, given=args.mqtt_host is not None or args.config is not None) as mqtt:
        if mqtt is None:
            _print_progress("no broker: name one with --host, or install mosquitto; the daemon is not measured")
        else:
            _print_progress("running the daemon on the clip in real time ...")
            cost = measure_daemon(args.config, clip, mqtt, decoding_percent(unpaced(config)))
    if args.json:
        print(json.dumps(_document(config, models, stages, cost), indent=2))
    else:
        _print_tables(models, stages, cost)
    return 0


def budgets(stages: Iterable[Stage], cost: DaemonCost | None) -> list[tuple[str, str, float, float | None]]:
    """Return (what, unit, budget, measured) for each budget; None where it was not measured."""
    medians = {stage.name: stage.median_ms for stage in stages}
    latency, cpu, memory, start = (
        (None,) * 4
        if cost is None
        else (cost.latency_p95_ms, cost.cpu_percent - cost.decoding_percent, cost.memory_mb, cost.start_s)
    )
    return [
        ("face path, frame to probabilities, median", "ms", 12.0, medians.get("face path")),
        ("voice path, hop to probabilities, median", "ms", 8.0, medians.get("voice path")),
        ("capture to subscriber, p95", "ms", 50.0, latency),
        ("CPU, of one core, less the clip's decoding", "%", 10.0, cpu),
        ("resident memory at most", "MB", 190.0, memory),
        ("start to online", "s", 3.0, start),
    ]


def _document(
    config: Config, models: dict[str, str], stages: list[Stage], cost: DaemonCost | None
) -> dict[str, object]:
    return {
        "clip": config.camera.source,
        "models": models,
        "stages": {stage.name: stage.to_json() for stage in stages},
        "daemon": None if cost is None else cost.to_json(),
        "budgets": [
            {"what": what, "unit": unit, "budget": budget, "measured": measured}
            for what, unit, budget, measured in budgets(stages, cost)
        ],
    }


def _print_tables(models: dict[str, str], stages: list[Stage], cost: DaemonCost | None) -> None:
    for task, model in models.items():
        print(f"{task} model: {model}")
    print(f"{'stage':<24}{'median':>10}{'p95':>10}{'count':>8}")
    for stage in stages:
        print(f"{stage.name:<24}{stage.median_ms:>7.2f} ms{stage.p95_ms:>7.2f} ms{stage.count:>8}")
    if cost is not None:
        print(
            f"\ndaemon: {cost.face_rate:.1f} face readings/s, {cost.voice_rate:.1f} voice readings/s, "
            f"{cost.cpu_percent:.1f} % of one core, of which {cost.decoding_percent:.1f} for decoding the clip"
        )
    print(f"\n{'budget (a desktop core)':<44}{'budget':>10}{'measured':>12}")
    for what, unit, budget, measured in budgets(stages, cost):
        shown = "-" if measured is None else f"{measured:.1f} {unit}"
        verdict = "" if measured is None else "  ok" if measured <= budget else "  MISSED"
        print(f"{what:<44}{budget:>7g} {unit:<2}{shown:>12}{verdict}")


def _print_progress(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
