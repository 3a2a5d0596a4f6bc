"""The files in systemd/, as systemd itself judges them. scripts/prove-service runs them for real."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import affectd
from affectd import errors

SYSTEMD = Path(__file__).parents[2] / "systemd"
UNIT = SYSTEMD / "affectd.service"


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


def test_the_sandbox_is_tight() -> None:
    judged = run("systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", str(UNIT))
    assert judged.returncode == 0, judged.stdout
    exposure = re.search(r"Overall exposure level for affectd.service: ([\d.]+)", judged.stdout)
    assert exposure is not None, judged.stdout + judged.stderr
    assert float(exposure[1]) <= 2.0


def test_systemd_understands_every_line_of_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/affectd/current/bin/affectd", "/bin/true"))
    judged = run("systemd-analyze", "verify", "--man=no", str(unit))
    assert "affectd.service" not in judged.stderr  # unknown keys are warnings there, with exit code 0
    assert judged.returncode == 0, judged.stderr


def test_the_user_is_made_and_in_the_groups_that_own_the_devices(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    made = run("systemd-sysusers", f"--root={tmp_path}", str(SYSTEMD / "affectd.sysusers"))
    assert made.returncode == 0, made.stderr
    assert "affectd:" in (tmp_path / "etc/passwd").read_text()
    groups = dict(line.split(":x:") for line in (tmp_path / "etc/group").read_text().splitlines())
    supplementary = re.search(r"^SupplementaryGroups=(.*)$", UNIT.read_text(), re.MULTILINE)
    assert supplementary is not None
    for name in supplementary[1].split():
        assert groups[name].endswith(":affectd"), name


def test_the_guide_explains_every_field_of_health() -> None:
    schema = json.loads((Path(affectd.__file__).parent / "publish" / "schemas" / "health.schema.json").read_text())
    guide = (SYSTEMD / "README.md").read_text()
    explained = set(re.findall(r"`(\w+)(?:\.\*)?(?:\.\w+)?`", guide))
    assert set(schema["properties"]) - explained <= {"schema", "device"}  # nothing to do about these
    assert set(schema["properties"]["components"]["additionalProperties"]["properties"]["state"]["enum"]) <= explained


def test_the_guide_explains_every_exit_code_of_the_daemon() -> None:
    guide = (SYSTEMD / "README.md").read_text()
    for kind in (errors.AffectdError, errors.ConfigError, errors.ModelError, errors.CaptureError, errors.OutboxError):
        assert f"| {kind.exit_code} |" in guide
