"""Print the JSON Schemas of the messages, or the AsyncAPI document, each complete in itself."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from affectd.errors import ConfigError
from affectd.publish import schema_bundle

HELP = "print the schemas of the messages"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `affectd schemas`."""
    parser.add_argument("name", nargs="?", choices=schema_bundle.NAMES, help="which one; without it: a list")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write it, or all of them, to files there")


def run(args: argparse.Namespace) -> int:
    """Print one document or the list of them, or write files."""
    names = [args.name] if args.name else schema_bundle.NAMES
    if args.out is not None:
        for name in names:
            print(_write(args.out, name))
    elif args.name:
        print(_text(args.name))
    else:
        for name in names:
            print(f"{name:<9} {_summary(name)}")
    return 0


def _summary(name: str) -> str:
    """Return the first sentence of a document's description."""
    found = schema_bundle.document(name)
    if name == schema_bundle.ASYNCAPI:
        return f"AsyncAPI {found['asyncapi']}: all topics and messages in one document"
    return str(found["description"]).partition(". ")[0].rstrip(".")


def _write(folder: Path, name: str) -> Path:
    """Write a document into the folder, which is made if need be; return the file. Raises ConfigError."""
    file = folder / (f"{name}.json" if name == schema_bundle.ASYNCAPI else f"{name}.schema.json")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(_text(name) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written: {error.strerror}; name another folder with --out") from error
    return file


def _text(name: str) -> str:
    return json.dumps(schema_bundle.document(name), indent=2)
