"""Validates messages against the shipped schemas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

import affectd.publish

FOLDER = Path(affectd.publish.__file__).parent / "schemas"
SCHEMAS: dict[str, Any] = {file.name: json.loads(file.read_text()) for file in FOLDER.glob("*.schema.json")}
REGISTRY: Registry[Any] = Registry().with_resources(
    (name, Resource.from_contents(schema)) for name, schema in SCHEMAS.items()
)


def faults(kind: str, document: Any) -> list[str]:
    """Say what is wrong with a document of this kind ('event', 'state', ...); empty when it is valid."""
    # A schema without an id of its own is looked up by its file's name, as its neighbours refer to it.
    validator = Draft202012Validator(
        {"$ref": f"{kind}.schema.json"}, registry=REGISTRY, format_checker=Draft202012Validator.FORMAT_CHECKER
    )
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]
