"""The floor plan of affectd_convert: rooms import from the floors below them, never in a circle."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import affectd_convert

PACKAGE = Path(affectd_convert.__file__).parent
FLOORS = (
    {"commands"},
    {"bundling", "papers"},
    {"evaluation"},
    {"conversion", "training"},
    {"architectures", "datasets"},
)


def imports() -> Iterator[tuple[Path, Path]]:
    """Every file and each file of the package that it imports, wherever in the file."""
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module is not None:
                for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names)):
                    imported = PACKAGE.parent.joinpath(*name.split(".")).with_suffix(".py")
                    if imported.is_relative_to(PACKAGE) and imported.exists():
                        yield file, imported


def room(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0]


def test_every_file_stands_in_a_room():
    rooms = {path.parent for path in PACKAGE.rglob("__init__.py")} - {PACKAGE}
    assert {path.name for path in rooms if path.parent == PACKAGE} == set.union(*FLOORS)
    assert len(rooms) <= 11
    assert {path.name for path in PACKAGE.glob("*.py")} == {"__init__.py", "errors.py"}


def test_no_room_imports_one_above_it():
    floor = {name: number for number, names in enumerate(FLOORS) for name in names} | {"errors.py": len(FLOORS)}
    found = list(imports())
    assert len(found) > 100
    upwards = {f"{a.name} -> {b.name}" for a, b in found if floor[room(a)] > floor[room(b)]}
    assert upwards == set()


def test_training_and_conversion_know_nothing_of_each_other():
    assert {(room(a), room(b)) for a, b in imports()}.isdisjoint(
        {("training", "conversion"), ("conversion", "training")}
    )


def test_no_circle():
    below: dict[Path, set[Path]] = {}
    for file, imported in imports():
        below.setdefault(file, set()).add(imported)
    TopologicalSorter(below).prepare()
