"""Validates messages against the shipped schemas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

import affectd.publish

FOLDER = Path(affectd.publish.__file__).parent / "schemas"


def closed(schema: Any) -> Any:
    """Close an open schema: what is published may grow, but never by what no schema tells of."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: closed(each) for name, each in schema.items()}
    is_object = "properties" in inner and inner.get("type") == "object" and "additionalProperties" not in inner
    return {**inner, "additionalProperties": False} if is_object else inner


PUBLISHED: dict[str, Any] = {file.name: json.loads(file.read_text()) for file in FOLDER.glob("*.schema.json")}
SCHEMAS: dict[str, Any] = {name: closed(schema) for name, schema in PUBLISHED.items()}
REGISTRY: Registry[Any] = Registry().with_resources(
    (schema["$id"], Resource.from_contents(schema)) for schema in SCHEMAS.values()
)


def faults(kind: str, document: Any) -> list[str]:
    """Say what is wrong with a document of this kind ('event', 'state', ...); empty when it is valid."""
    validator = Draft202012Validator(
        SCHEMAS[f"{kind}.schema.json"], registry=REGISTRY, format_checker=Draft202012Validator.FORMAT_CHECKER
    )
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]
