"""`affectd bench` on a short clip and a tiny network: every stage and budget is there, with sane numbers."""

import json
import os
import subprocess
import sys

from affectd.inference.interpreter import installed_runtimes
from support.bundles import KINDS, answering_wrongly
from support.media import tone, write_clip
from support.scenes import scene


def bench(*options, **environ):
    command = [sys.executable, "-m", "affectd.cli.main", "bench", *options]
    return subprocess.run(
        command, env={**os.environ, **environ}, capture_output=True, text=True, timeout=110, check=False
    )


def test_stages_daemon_and_budgets_are_measured(tmp_path, face_model):
    frames = [scene((300 + x, 240, 150)) for x in range(0, 50)] * 2
    clip = write_clip(tmp_path / "clip.mp4", frames=frames, sound=tone(4.0), sample_rate=16_000)
    ended = bench(
        *("--json", "--clip", str(clip)),
        AFFECTD_INFERENCE_MODELS=str(face_model.bundle.parent),
        AFFECTD_INFERENCE_FACE=face_model.bundle.name,
        AFFECTD_INFERENCE_VOICE="off",
    )
    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    assert document["models"]["face"].startswith("face-tiny 0.0.1 int8 on LiteRT ")
    assert document["models"]["face"].endswith(", cpu")
    stages = document["stages"]
    assert {
        "face: track",
        "face: classify",
        "face path",
        "detector: haar",
        "detector: blazeface",
        "fuse",
        "outbox append",
    } <= stages.keys()
    for stage in stages.values():  # to the microsecond: taking a grey frame as it is rounds to none
        assert 0 <= stage["median_ms"] <= stage["p95_ms"] < 10_000
    assert min(stages[name]["median_ms"] for name in ("face: classify", "face path", "outbox append")) > 0
    parts = sum(stages[f"face: {name}"]["median_ms"] for name in ("gray", "quality", "preprocess", "classify"))
    assert parts < stages["face path"]["p95_ms"]
    daemon = document["daemon"]
    assert 5 < daemon["face_rate"] < 15
    assert 0 < daemon["decoding_percent"] < daemon["cpu_percent"] < 400
    assert 30 < daemon["memory_mb"] < 2000
    measured = {budget["what"]: budget["measured"] for budget in document["budgets"]}
    assert sum(value is not None for value in measured.values()) == 5
    assert measured["voice path, hop to probabilities, median"] is None


def test_a_bundle_is_measured_by_itself_and_at_work(tmp_path, face_model):
    clip = write_clip(tmp_path / "clip.mp4", frames=[scene((300 + x, 240, 150)) for x in range(20)])
    ended = bench("--json", "--model", str(face_model.bundle), "--clip", str(clip))
    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    rows = {(row["variant"], row["runtime"]): row for row in document["alone"] if row["delegate"] == "cpu"}
    assert rows.keys() == {(kind, runtime) for kind in KINDS["face"] for runtime in installed_runtimes().values()}
    for row in rows.values():
        assert row["count"] == 100
        assert 0 < row["median_ms"] <= row["p95_ms"]
        assert 0 < row["load_ms"] < 10_000
        assert 0 <= row["memory_mb"] < 100
    assert {row["model"].partition(" ")[0] for row in document["pipeline"]} == set(KINDS["face"])
    for row in document["pipeline"]:
        assert row["count"] > 5
        assert 0 < row["share"] < 1
        assert 0 < row["network_ms"] < row["path_ms"]


def test_a_bundle_that_answers_wrongly_is_measured_as_such_and_costs_exit_code_4(tmp_path, face_model):
    bundle = answering_wrongly(face_model.bundle, tmp_path)
    ended = bench("--model", str(bundle), "--clip", str(bundle / "manifest.json"))
    assert ended.returncode == 5  # the clip is looked at before minutes are spent
    ended = bench("--model", str(bundle))
    assert ended.returncode == 4
    assert ended.stdout.count("wrong answers on the golden samples") >= len(installed_runtimes())
    assert ended.stderr.splitlines()[-1].startswith(f"affectd: {bundle}: int8 does not run right on this box: ")
    assert "Traceback" not in ended.stderr
