"""`affectd bench` on a short clip and a tiny network: every stage and budget is there, with sane numbers."""

import json
import os
import subprocess
import sys

from support.media import tone, write_clip
from support.scenes import scene


def test_stages_daemon_and_budgets_are_measured(tmp_path, face_model):
    frames = [scene((300 + x, 240, 150)) for x in range(0, 50)] * 2
    clip = write_clip(tmp_path / "clip.mp4", frames=frames, sound=tone(4.0), sample_rate=16_000)
    environ = {
        **os.environ,
        "AFFECTD_INFERENCE_MODELS": str(face_model.bundle.parent),
        "AFFECTD_INFERENCE_FACE": face_model.bundle.name,
        "AFFECTD_INFERENCE_VOICE": "off",
    }
    command = [sys.executable, "-m", "affectd.cli.main", "bench", "--json", "--clip", str(clip)]
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=110, check=False)
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
    for stage in stages.values():
        assert 0 < stage["median_ms"] <= stage["p95_ms"] < 10_000
    parts = sum(stages[f"face: {name}"]["median_ms"] for name in ("gray", "quality", "preprocess", "classify"))
    assert parts < stages["face path"]["p95_ms"]
    daemon = document["daemon"]
    assert 5 < daemon["face_rate"] < 15
    assert 0 < daemon["decoding_percent"] < daemon["cpu_percent"] < 400
    assert 30 < daemon["memory_mb"] < 2000
    measured = {budget["what"]: budget["measured"] for budget in document["budgets"]}
    assert sum(value is not None for value in measured.values()) == 5
    assert measured["voice path, hop to probabilities, median"] is None
