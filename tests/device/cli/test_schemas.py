"""`affectd schemas`: documents complete in themselves, against their examples and the shipped schemas."""

import json

import pytest
from jsonschema import Draft202012Validator

from affectd.cli.main import main
from affectd.publish import schema_bundle
from support.message_schemas import PUBLISHED


def references(document):
    if isinstance(document, list):
        return [found for each in document for found in references(each)]
    if not isinstance(document, dict):
        return []
    own = [document["$ref"]] if isinstance(document.get("$ref"), str) else []
    return own + [found for each in document.values() for found in references(each)]


def followed(document, reference):
    found = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


@pytest.mark.parametrize("kind", schema_bundle.MESSAGES)
def test_a_printed_schema_takes_what_the_shipped_one_shows_and_refuses_the_rest(kind, capsys):
    assert main(["schemas", kind]) == 0
    schema = json.loads(capsys.readouterr().out)
    shipped = PUBLISHED[f"{kind}.schema.json"]
    assert (schema["$id"], schema["title"]) == (shipped["$id"], shipped["title"])
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)  # it knows no other document
    assert schema["examples"]
    for example in schema["examples"]:
        validator.validate(example)
        validator.validate({**example, "new_field": 1})
        assert not validator.is_valid({**example, "boot": None})  # behind a reference


@pytest.mark.parametrize("name", schema_bundle.NAMES)
def test_no_reference_leaves_its_document(name):
    document = schema_bundle.document(name)
    found = references(document)
    assert found
    for reference in found:
        assert reference.startswith("#/")
        assert followed(document, reference)


def test_every_schema_of_asyncapi_has_a_name_of_its_own():
    document = schema_bundle.asyncapi()
    schemas = document["components"]["schemas"]
    for name, schema in schemas.items():
        assert schema["title"] == name
    for message in document["components"]["messages"].values():
        assert message["payload"]["$ref"].removeprefix("#/components/schemas/") in schemas
    text = json.dumps(list(schemas.values()))
    assert '"$id"' not in text
    assert '"if"' not in text


def titled(schema):
    if isinstance(schema, list):
        return [found for each in schema for found in titled(each)]
    if not isinstance(schema, dict):
        return []
    own = [schema] if isinstance(schema.get("title"), str) else []
    return own + [found for each in schema.values() for found in titled(each)]


def test_a_title_means_one_thing():
    meaning = {}
    for schema in PUBLISHED.values():
        for each in titled(schema):
            assert meaning.setdefault(each["title"], each) == each, each["title"]


def test_without_a_name_it_lists_all(capsys):
    assert main(["schemas"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(schema_bundle.NAMES)


def test_out_writes_all(tmp_path, capsys):
    assert main(["schemas", "--out", str(tmp_path / "new")]) == 0
    files = {file.name: json.loads(file.read_text()) for file in (tmp_path / "new").iterdir()}
    assert files["event.schema.json"] == schema_bundle.document("event")
    assert len(files) == len(schema_bundle.NAMES) == len(capsys.readouterr().out.splitlines())


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["schemas", "--out", str(tmp_path / "file")]) == 3
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["common", "../../events", ""])
def test_another_name_is_a_wrong_command_line(name):
    with pytest.raises(SystemExit) as ended:
        main(["schemas", name])
    assert ended.value.code == 2
