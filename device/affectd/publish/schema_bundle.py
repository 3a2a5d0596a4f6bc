"""The published schemas, each as one document that refers to nothing outside itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import resources
from typing import Any

MESSAGES = ("event", "state", "people", "faces", "voice", "health", "info")
"""Kinds of JSON messages, by the last part of their topics."""
ASYNCAPI = "asyncapi"
NAMES = (*MESSAGES, ASYNCAPI)
_DEFS = "#/$defs/"
_COMPONENTS = "#/components/schemas/"
_NAMED_SCHEMAS = ("properties", "$defs")
_LISTED_SCHEMAS = ("anyOf", "allOf", "oneOf")
_CONDITION = ("if", "then", "else")
_SINGLE_SCHEMAS = ("items", "additionalProperties", "not", *_CONDITION)
"""Keywords, by how they hold other schemas."""
Schema = dict[str, Any]


def document(name: str) -> Schema:
    """Return the document of one of `NAMES`."""
    return asyncapi() if name == ASYNCAPI else message_schema(name)


def message_schema(kind: str) -> Schema:
    """Return the JSON Schema (2020-12) of a kind of message, with the common parts that it needs under `$defs`."""
    common = _read("common.schema.json")["$defs"]
    needed: dict[str, Schema] = {}

    def bundled(schema: Schema) -> Schema:
        if "$ref" in schema:
            part = _part(schema)
            if part not in needed:
                needed[part] = {}  # before its own parts, so that one that holds itself comes to an end
                needed[part] = bundled(common[part])
            schema = {**schema, "$ref": _DEFS + part}
        return _with_inner(schema, bundled)

    return {**bundled(_read(f"{kind}.schema.json")), "$defs": dict(sorted(needed.items()))}


def asyncapi() -> Schema:
    """Return the AsyncAPI document; each object and each set of words in it is a schema with a name, for generators.

    What depends on a condition (`if`) is left to the JSON Schemas: generators take it for the type itself.
    """
    bundle = _read("asyncapi.json")
    common = _read("common.schema.json")["$defs"]
    schemas: dict[str, Schema] = {}

    def reference(schema: Schema) -> Schema:
        name = schema["title"]
        if name not in schemas:
            schemas[name] = {}
            schemas[name] = _with_inner(_unconditional(_with_named_words(schema)), bundled)
        return {"$ref": _COMPONENTS + name}

    def bundled(schema: Schema) -> Schema:
        if "$ref" not in schema:
            return reference(schema) if "title" in schema else _with_inner(schema, bundled)
        part, described = _part(schema), {key: value for key, value in schema.items() if key != "$ref"}
        target = {"title": _type_name(part), **common[part]}
        if "enum" not in target and "title" not in common[part]:
            return _with_inner({**common[part], **described}, bundled)
        return {**reference(target), **described}

    for key, message in bundle["components"]["messages"].items():
        payload = message["payload"]
        schema = _read(payload["schema"]["$ref"]) if "schema" in payload else {"title": _type_name(key), **payload}
        message["name"] = key
        message["payload"] = reference({word: schema[word] for word in schema if word not in ("$schema", "$id")})
    bundle["components"]["schemas"] = dict(sorted(schemas.items()))
    return bundle


def _with_inner(schema: Schema, change: Callable[[Schema], Schema]) -> Schema:
    """Return the schema with `change` applied to each schema that stands directly in it."""
    changed = dict(schema)
    for keyword, value in schema.items():
        if keyword in _NAMED_SCHEMAS:
            changed[keyword] = {name: change(inner) for name, inner in value.items()}
        elif keyword in _LISTED_SCHEMAS:
            changed[keyword] = [change(inner) for inner in value]
        elif keyword in _SINGLE_SCHEMAS and isinstance(value, dict):
            changed[keyword] = change(value)
    return changed


def _unconditional(schema: Schema) -> Schema:
    return {keyword: value for keyword, value in schema.items() if keyword not in _CONDITION}


def _with_named_words(schema: Schema) -> Schema:
    """Return the schema with a title for each of its properties that is one of some words."""
    properties = {
        name: {"title": schema["title"] + _type_name(name), **inner} if "enum" in inner else inner
        for name, inner in schema.get("properties", {}).items()
    }
    return {**schema, "properties": properties} if properties else schema


def _part(schema: Schema) -> str:
    """Return the name of the common part that the schema refers to."""
    return str(schema["$ref"].rpartition("/")[2])


def _type_name(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def _read(file: str) -> Schema:
    schema: Schema = json.loads((resources.files("affectd.publish") / "schemas" / file).read_text(encoding="utf-8"))
    return schema
