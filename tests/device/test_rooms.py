"""The floor plan of affectd: data goes one way, so each package imports from the floors below it alone."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import affectd

PACKAGE = Path(affectd.__file__).parent
FLOORS = (
    {"cli"},
    {"daemon"},
    {"assembly", "health_report"},
    {"device_id", "pipeline"},
    {"fusion_loop"},
    {"service"},
    {"publish"},
    {"config", "face"},
    {"capture", "fusion", "inference", "store", "voice"},
    {"backoff", "errors", "events", "resample", "share", "version"},
)


def imports() -> Iterator[tuple[Path, Path]]:
    """Every file and each file of the package that it imports, wherever in the file."""
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module is not None:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            else:
                continue
            for name in names:
                place = PACKAGE.parent.joinpath(*name.split("."))
                for imported in (place.with_suffix(".py"), place / "__init__.py"):
                    if imported.is_relative_to(PACKAGE) and imported.exists():
                        yield file, imported


def room(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_every_room_has_its_floor():
    assert {room(file) for file in PACKAGE.rglob("*.py")} - {"__init__"} == set.union(*FLOORS)


def test_no_room_imports_one_beside_or_above_it():
    floor = {name: number for number, names in enumerate(FLOORS) for name in names}
    found = [(a, b) for a, b in imports() if room(b) not in {"__init__", room(a)}]
    assert len(found) > 300
    upwards = {
        f"{a.relative_to(PACKAGE)} -> {b.relative_to(PACKAGE)}" for a, b in found if floor[room(a)] >= floor[room(b)]
    }
    assert upwards == set()


def test_no_circle():
    below: dict[Path, set[Path]] = {}
    for file, imported in imports():
        below.setdefault(file, set()).add(imported)
    TopologicalSorter(below).prepare()
