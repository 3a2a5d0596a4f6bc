"""What pip installs, far from any checkout: models and clip are found in an environment, by --user and by --target."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
BUNDLE = "models/voice-cnn-lstm"
"""The smallest; it stands for all."""
PACKAGES = os.pathsep.join(path for path in sys.path if path.endswith("site-packages"))
PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check")
INSTALL = (*PIP, "install", "--no-index", "--no-deps", "--break-system-packages")
LOOK = """
import json
from affectd.cli.options import existing_clip
from affectd.face.blazeface_file import folder
from affectd.inference.installed import installed_models
print(json.dumps([str(existing_clip(None, option="")), str(installed_models()), str(folder())]))
"""


def run(python: str | Path, *arguments: object, at: Path, **environ: str) -> str:
    variables = {**os.environ, "PYTHONUSERBASE": str(at), "PIP_NO_BUILD_ISOLATION": "0", **environ}
    line = [str(python), *map(str, arguments)]
    ended = subprocess.run(line, cwd=at, env=variables, capture_output=True, text=True, timeout=110, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made from the source package, so that it holds what that holds."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "copy"
    junk = shutil.ignore_patterns("__pycache__", "*.egg-info", "*float16.tflite", "training")
    for name in ("device", "convert", BUNDLE):
        shutil.copytree(CHECKOUT / name, copy / name, ignore=junk)
    (copy / "scripts").mkdir()
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "scripts/demo.mp4"):
        shutil.copyfile(CHECKOUT / name, copy / name)
    run(sys.executable, "setup.py", "--quiet", "sdist", "--dist-dir", folder, at=copy)
    [source] = folder.glob("*.tar.gz")
    run(sys.executable, *PIP, "wheel", "--no-deps", "--wheel-dir", folder, source, at=folder)
    [made] = folder.glob("*.whl")
    return made


def test_an_environment_has_models_and_clip(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "v", at=tmp_path)
    python = tmp_path / "v/bin/python"
    run(sys.executable, *PIP, "--python", python, *INSTALL[len(PIP) :], wheel, at=tmp_path)
    look(python, tmp_path / "v", PYTHONPATH=PACKAGES)


def test_a_users_own_installation_has_models_and_clip(wheel: Path, tmp_path: Path) -> None:
    python = sys._base_executable
    run(python, *INSTALL, "--user", wheel, at=tmp_path, PYTHONPATH=PACKAGES)
    look(python, tmp_path, PYTHONPATH=PACKAGES)


def test_a_folder_has_models_and_clip(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, *INSTALL, "--target", tmp_path / "site", wheel, at=tmp_path)
    look(sys.executable, tmp_path / "site", PYTHONPATH=os.pathsep.join([str(tmp_path / "site"), PACKAGES]))


def look(python: str | Path, base: Path, **environ: str) -> None:
    share = base / "share/affectd"
    found = json.loads(run(python, "-c", LOOK, at=base, **environ))
    assert found == [str(share / "demo.mp4"), str(share / "models"), str(share / "detectors/blazeface")]
    shipped = {file.name for file in (CHECKOUT / BUNDLE).iterdir() if file.is_file() and "float16" not in file.name}
    assert {file.name for file in (share / BUNDLE).iterdir()} == shipped
