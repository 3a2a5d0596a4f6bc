"""The version that the program shows, by every way that it comes onto a box: real git, real pip, install-device."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from affectd.version import RELEASE
from e2e.program import CLIP, Affectd, command
from support.broker import Listener, Mosquitto

CHECKOUT = Path(__file__).parents[2]


class Checkout:
    """A git repository with the product's sources in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        junk = shutil.ignore_patterns("__pycache__", "*.egg-info", "commit")
        for name in ("device", "systemd", "convert"):
            shutil.copytree(CHECKOUT / name, folder / name, ignore=junk)
        for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", ".gitignore"):
            shutil.copyfile(CHECKOUT / name, folder / name)
        shutil.copytree(CHECKOUT / "scripts", folder / "scripts", ignore=shutil.ignore_patterns("*.mp4", "*.py"))
        (folder / "models").mkdir()
        self.git("init", "--quiet")
        self.git("add", "--all")
        self.commit()

    def git(self, *arguments: str) -> str:
        named = ("-c", "user.name=test", "-c", "user.email=test@localhost")
        return run("git", *named, *arguments, at=self.folder)

    def commit(self) -> None:
        self.git("commit", "--quiet", "--allow-empty", "--all", "--message", "Change something")

    @property
    def name(self) -> str:
        """The version that its commit has until it is released."""
        return f"{RELEASE}+g{self.git('rev-parse', 'HEAD')[:7]}"

    def version(self, **environ: str) -> str:
        return version_in(self.folder / "device", **environ)


def run(*line: str, at: Path | None = None, **environ: str) -> str:
    variables = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environ}
    ended = subprocess.run(line, cwd=at, env=variables, capture_output=True, text=True, timeout=110, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout.strip()


def version_in(folder: Path, **environ: str) -> str:
    """What `affectd --version` shows when it runs from the packages in a folder."""
    shown = run(*command("--version"), at=Path("/"), PYTHONPATH=str(folder), **environ)
    assert shown.startswith("affectd ")
    return shown.removeprefix("affectd ")


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "checkout")


def test_a_checkout_shows_its_commit_and_whether_it_was_changed(checkout: Checkout) -> None:
    assert checkout.version() == checkout.name
    readme, module = checkout.folder / "README.md", checkout.folder / "device/affectd/events.py"
    readme.write_text("Nothing that runs.\n")
    assert checkout.version() == checkout.name
    module.write_text(module.read_text() + "\n# changed\n")
    assert checkout.version() == f"{checkout.name}.dirty"
    checkout.commit()
    assert checkout.version() == checkout.name
    module.with_name("unknown_to_git.py").touch()
    assert checkout.version() == f"{checkout.name}.dirty"


def test_a_released_commit_shows_the_release_alone(checkout: Checkout) -> None:
    checkout.git("tag", "v9.9.9")  # another release's tag says nothing of this one
    assert checkout.version() == checkout.name
    checkout.git("tag", f"v{RELEASE}")
    assert checkout.version() == RELEASE
    module = checkout.folder / "device/affectd/events.py"
    module.write_text(module.read_text() + "\n# changed\n")
    assert checkout.version() == f"{checkout.name}.dirty"
    checkout.commit()
    assert checkout.version() == checkout.name


def test_a_clone_of_the_newest_commit_alone_shows_the_same(checkout: Checkout, tmp_path: Path) -> None:
    checkout.commit()
    shown = []
    for clone in (tmp_path / "between", tmp_path / "released"):
        run("git", "clone", "--quiet", "--depth", "1", checkout.folder.as_uri(), str(clone))
        shown.append(version_in(clone / "device"))
        checkout.git("tag", "--force", f"v{RELEASE}")
    assert shown == [checkout.name, RELEASE]


def test_sources_without_git_do_not_pass_for_the_release(checkout: Checkout) -> None:
    shutil.rmtree(checkout.folder / ".git")
    assert checkout.version() == f"{RELEASE}+unknown"
    checkout.git("init", "--quiet")  # a repository that has no commit yet
    assert checkout.version() == f"{RELEASE}+unknown"


def test_a_git_that_is_not_there_or_speaks_of_another_repository(checkout: Checkout, tmp_path: Path) -> None:
    other = Checkout(tmp_path / "other")
    other.git("commit", "--quiet", "--allow-empty", "--message", "One commit of its own")
    assert checkout.version(GIT_DIR=str(other.folder / ".git")) == checkout.name  # as in a git hook
    assert checkout.version(PATH="/nowhere") == f"{RELEASE}+unknown"


def test_root_sees_the_commit_of_a_users_checkout_and_leaves_it_alone(checkout: Checkout) -> None:
    (checkout.folder / "device/affectd/events.py").touch()  # git would like to note that it is the same
    for file in [checkout.folder, *checkout.folder.rglob("*")]:
        os.chown(file, 12345, 12345)
    refused = subprocess.run(["git", "-C", checkout.folder, "status"], capture_output=True, check=False)
    assert b"dubious ownership" in refused.stderr
    shown = checkout.version()
    assert {file.stat().st_uid for file in checkout.folder.rglob("*")} == {12345}
    commit = run("git", "-c", f"safe.directory={checkout.folder}", "rev-parse", "HEAD", at=checkout.folder)
    assert shown == f"{RELEASE}+g{commit[:7]}"


def pip_install(source: Path, target: Path) -> None:
    """Install as scripts/install-device does, into a folder."""
    options = ("--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", "--no-build-isolation")
    run(sys.executable, "-m", "pip", "install", *options, "--use-pep517", "--target", str(target), str(source))


def test_what_pip_installs_keeps_its_commit(checkout: Checkout, tmp_path: Path) -> None:
    pip_install(checkout.folder, tmp_path / "site")
    shown, name = version_in(tmp_path / "site"), checkout.name
    shutil.rmtree(checkout.folder)
    assert shown == version_in(tmp_path / "site") == name
    [metadata] = (tmp_path / "site").glob("affectd-*.dist-info/METADATA")
    assert f"\nVersion: {name}\n" in metadata.read_text()
    # A folder of another repository around it says nothing.
    run("git", "init", "--quiet", str(tmp_path))
    assert version_in(tmp_path / "site") == name


def test_what_install_device_copies_and_builds_keeps_its_commit(checkout: Checkout, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    functions = checkout.folder / "scripts/functions"
    functions.write_text((checkout.folder / "scripts/install-device").read_text().replace('\nmain "$@"\n', '\n"$@"\n'))
    run("bash", str(functions), "copy_source", str(copy))
    assert not (copy / ".git").exists()
    assert version_in(copy / "device") == checkout.name
    release = Path(run("bash", str(functions), "release_folder"))
    assert release.name.startswith(f"{checkout.name}-")
    shutil.copy(functions, copy / "scripts/functions")  # as in an image's tree, where the copy installs itself
    assert Path(run("bash", str(copy / "scripts/functions"), "release_folder")) == release
    pip_install(copy, tmp_path / "site")
    assert version_in(tmp_path / "site") == checkout.name


def test_health_and_home_assistant_show_what_the_command_line_shows(tmp_path: Path) -> None:
    shown = run(*command("--version")).removeprefix("affectd ")
    assert re.fullmatch(re.escape(RELEASE) + r"(\+(g[0-9a-f]{7}(\.dirty)?|unknown))?", shown)
    with (
        Mosquitto(tmp_path) as broker,
        Listener(broker, "affectd/box/health", "homeassistant/#") as listener,
        Affectd(tmp_path, broker, camera={"source": str(CLIP)}, clip={"loop": True}),
    ):
        messages = listener.wait_for(lambda messages: len({message.topic for message in messages}) == 2, 60)
    documents = {message.topic: json.loads(message.payload) for message in messages}
    device = documents["homeassistant/device/box/config"]
    assert documents["affectd/box/health"]["version"] == shown
    assert device["device"]["sw_version"] == device["origin"]["sw_version"] == shown
