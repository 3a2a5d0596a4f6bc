"""What pyproject.toml cannot say: the version with its commit, which the package keeps when git is far away."""

import runpy
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

SOURCE = runpy.run_path(str(Path(__file__).parent / "device" / "affectd" / "version.py"))


def note_commit(package: Path) -> None:
    """Write the commit into a copy of the package."""
    (package / SOURCE["COMMIT_FILE"].name).write_text(SOURCE["local_part"](), encoding="ascii")


class BuildWithCommit(build_py):
    """Builds the packages."""

    def run(self) -> None:
        """Copy them, and note the commit in the copy; an editable installation goes on asking git."""
        super().run()
        if not self.editable_mode:
            note_commit(Path(self.build_lib, "affectd"))


class SourceWithCommit(sdist):
    """Packs the sources, which a wheel may be built from."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        """Copy them, and note the commit in the copy."""
        super().make_release_tree(base_dir, files)
        note_commit(Path(base_dir, "device", "affectd"))


setup(version=SOURCE["version"](), cmdclass={"build_py": BuildWithCommit, "sdist": SourceWithCommit})
