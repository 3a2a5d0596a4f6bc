"""A model's layout: whole files pass, cut and damaged ones end in a sentence; read and written by the real schema."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from affectd.inference.flatbuffer import IDENTIFIER, MOST_ENTRIES, check_model

MODELS = Path(__file__).parents[3] / "models"
SHIPPED = sorted(MODELS.rglob("*.tflite"))
INT8 = MODELS / "voice-cnn-lstm" / "voice-cnn-lstm-int8.tflite"
UNROLLED = MODELS / "voice-cnn-lstm" / "voice-cnn-lstm-float16.tflite"
SMALL = 1 << 20


def name_of(file: Path) -> str:
    return str(file.relative_to(MODELS))


def refusal(data: bytes) -> str:
    """Return the sentence with which a model is refused."""
    with pytest.raises(ValueError, match=r"^(not a TFLite model|(cut or )?damaged: .+)$") as refused:
        check_model(data)
    return str(refused.value)


def packed(model: Any) -> bytes:
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def everything() -> Any:
    """Make a model of one addition in which each field that the walk knows is there.

    Kept packed as tests/fuzz/corpus/model/everything.tflite.
    """
    tensors = [
        schema.TensorT(
            shape=[1, 2],
            buffer=number,
            name=name,
            quantization=schema.QuantizationParametersT(
                min=[0.0],
                max=[1.0],
                scale=[0.5],
                zeroPoint=[3],
                detailsType=schema.QuantizationDetails.CustomQuantization,
                details=schema.CustomQuantizationT(custom=[1]),
            ),
            sparsity=schema.SparsityParametersT(traversalOrder=[0]),
            shapeSignature=[-1, 2],
        )
        for number, name in enumerate(("in", "weights", "out"))
    ]
    operator = schema.OperatorT(
        inputs=[0, 1],
        outputs=[2],
        builtinOptionsType=schema.BuiltinOptions.AddOptions,
        builtinOptions=schema.AddOptionsT(fusedActivationFunction=1),
        customOptions=[1, 2, 3],
        mutatingVariableInputs=[False],
        intermediates=[1],
        builtinOptions2Type=schema.BuiltinOptions2.StablehloConcatenateOptions,
        builtinOptions2=schema.StablehloConcatenateOptionsT(dimension=1),
    )
    graph = schema.SubGraphT(tensors=tensors, inputs=[0], outputs=[2], operators=[operator], name="main")
    signature = schema.SignatureDefT(
        inputs=[schema.TensorMapT("x", 0)], outputs=[schema.TensorMapT("y", 2)], signatureKey="serve"
    )
    return schema.ModelT(
        version=3,
        operatorCodes=[schema.OperatorCodeT(customCode="none", version=1)],
        subgraphs=[graph],
        description="adds",
        buffers=[schema.BufferT(data=[number] * 16) for number in range(3)],
        metadataBuffer=[1],
        metadata=[schema.MetadataT("version", 1)],
        signatureDefs=[signature],
    )


def read(file: Path) -> Any:
    """Read a model as objects that can be changed and packed again."""
    return schema.ModelT.InitFromPackedBuf(file.read_bytes())


@pytest.mark.parametrize("file", SHIPPED, ids=name_of)
def test_a_shipped_model_passes(file: Path) -> None:
    check_model(file.read_bytes())


@pytest.mark.parametrize("file", SHIPPED, ids=name_of)
def test_a_cut_model_is_refused_wherever_it_is_cut(file: Path) -> None:
    data = file.read_bytes()
    spread = np.linspace(0, len(data) - 1, 100 if len(data) < SMALL else 8, dtype=int).tolist()
    for length in [*spread, *range(0, 64, 7), len(data) // 2, len(data) - 1]:
        assert refusal(data[:length]).startswith("cut or damaged: " if length >= 8 else "not a TFLite model")


def test_what_is_no_model_is_refused() -> None:
    for data in (b"", b"TFL3", b"\0\0\0\0TFL", b"PK\x03\x04" + bytes(2000), b"This is a text, not a model.\n" * 9):
        assert refusal(data) == "not a TFLite model"
    assert refusal(b"\x1c\0\0\0TFL3") == "cut or damaged: Model lies at bytes 28 to 32 of 8"


def test_the_sentence_says_how_much_is_missing() -> None:
    data = INT8.read_bytes()
    said = refusal(data[:-1])
    found = re.fullmatch(r"cut or damaged: \w+ lies at bytes (\d+) to (\d+) of (\d+)", said)
    assert found, said
    start, end, size = map(int, found.groups())
    assert start < end == len(data) == size + 1


def test_every_offset_that_the_schema_has_is_followed() -> None:
    data = packed(everything())
    check_model(data)
    followed = set()
    for table, found in tables(schema.Model.GetRootAs(data)).items():
        for field, number in offsets_of(table).items():
            within = found.Offset(4 + 2 * number)
            if within and (table, field) not in UNKNOWN:
                damaged = bytearray(data)
                struct.pack_into("<I", damaged, found.Pos + within, 0x7FFFFFFF)
                assert f" of {len(data)}" in refusal(bytes(damaged)), (table, field)
                followed.add((table, field))
    known = {(table, field) for table in tables(schema.Model.GetRootAs(data)) for field in offsets_of(table)}
    assert followed == known - UNKNOWN


UNKNOWN = {
    ("Model", "ExternalBufferGroups"),
    ("Model", "ExternalBuffers"),
    ("Tensor", "VariantTensors"),
}
"""What only newer runtimes read, and nothing that affectd-convert makes has."""


def tables(model: Any) -> dict[str, Any]:
    """Return one table of each kind, as the schema's own code finds it."""
    graph, signature = model.Subgraphs(0), model.SignatureDefs(0)
    found = [
        model,
        model.OperatorCodes(0),
        graph,
        graph.Tensors(0),
        graph.Tensors(0).Quantization(),
        graph.Operators(0),
        model.Buffers(0),
        model.Metadata(0),
        signature,
        signature.Inputs(0),
    ]
    return {type(table).__name__: table._tab for table in found}


class FieldNumbers:
    """Notes which field the schema's code adds to a table, if it is an offset."""

    def __init__(self) -> None:
        self.offsets: list[int] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda number, *_: self.offsets.append(number) if name == "PrependUOffsetTRelativeSlot" else None


def offsets_of(table: str) -> dict[str, int]:
    """Return names and numbers of a table's fields that are offsets."""
    found = {}
    for name, add in vars(schema).items():
        if name.startswith(f"{table}Add"):
            builder = FieldNumbers()
            add(builder, 0)
            found.update(dict.fromkeys(builder.offsets, name.removeprefix(f"{table}Add")))
    return {field: number for number, field in found.items()}


def set_operator(**fields: Any) -> Callable[[Any], None]:
    """Return a change of the first operator."""
    return lambda model: vars(model.subgraphs[0].operators[0]).update(fields)


CHANGES: dict[str, Callable[[Any], object]] = {
    "Operator.inputs names number 9999 of": set_operator(inputs=[0, 9999]),
    "Operator.inputs names number -2 of": set_operator(inputs=[-2]),
    "Operator.outputs names number 9999 of": set_operator(outputs=[9999]),
    "Operator.outputs names number -1 of": set_operator(outputs=[-1]),
    "Operator.intermediates names number 9999 of": set_operator(intermediates=[9999]),
    "Operator.opcode_index names number 77 of": set_operator(opcodeIndex=77),
    "Operator.large_custom_options_offset lies at": set_operator(
        largeCustomOptionsOffset=1 << 40, largeCustomOptionsSize=1
    ),
    "SubGraph.inputs names number 9999 of": lambda m: vars(m.subgraphs[0]).update(inputs=[9999]),
    "SubGraph.outputs names number -1 of": lambda m: vars(m.subgraphs[0]).update(outputs=[-1]),
    "Tensor.buffer names number 4294967295 of": lambda m: vars(m.subgraphs[0].tensors[3]).update(buffer=2**32 - 1),
    "Buffer.offset lies at": lambda m: vars(m.buffers[1]).update(data=None, offset=8, size=1 << 30),
    "Metadata.buffer names number 9999 of": lambda m: vars(m.metadata[0]).update(buffer=9999),
    "SignatureDef.subgraph_index names number 1 of 1": lambda m: vars(m.signatureDefs[0]).update(subgraphIndex=1),
    "SignatureDef.outputs names number 9999 of": lambda m: vars(m.signatureDefs[0].outputs[0]).update(tensorIndex=9999),
    "it has no operator_codes": lambda m: vars(m).update(operatorCodes=[]),
    "it has no subgraphs": lambda m: vars(m).update(subgraphs=None),
    "it has no buffers": lambda m: vars(m).update(buffers=None),
    f"its vectors have more than {MOST_ENTRIES:,} entries": lambda m: vars(m).update(
        metadataBuffer=np.zeros(MOST_ENTRIES, np.int32)
    ),
}


@pytest.mark.parametrize("expected", CHANGES)
def test_what_names_something_that_is_not_there_is_refused(expected: str) -> None:
    model = read(INT8)
    check_model(packed(model))
    CHANGES[expected](model)
    assert expected in refusal(packed(model))


def test_an_input_that_is_left_out_and_data_behind_the_tables_pass() -> None:
    model = everything()
    set_operator(inputs=[0, -1], largeCustomOptionsOffset=8, largeCustomOptionsSize=16)(model)
    model.buffers[1] = schema.BufferT(offset=16, size=16)
    check_model(packed(model))


def test_a_string_without_its_end_is_refused() -> None:
    data = packed(everything())
    assert data.count(b"adds\0") == 1
    assert refusal(data.replace(b"adds\0", b"adds!")) == "damaged: Model.description does not end"


def layout_of(data: bytes) -> NDArray[np.int64]:
    """Return the bytes of a model that are no weights."""
    is_layout = np.ones(len(data), bool)
    model = schema.Model.GetRootAs(data)
    for buffer in map(model.Buffers, range(model.BuffersLength())):
        if within := buffer._tab.Offset(4):
            start = buffer._tab.Vector(within)
            is_layout[start : start + buffer.DataLength()] = False
    return np.flatnonzero(is_layout)


@pytest.mark.parametrize(
    ("data", "copies"),
    [(packed(everything()), 600), (INT8.read_bytes(), 200), (UNROLLED.read_bytes(), 20)],
    ids=["everything", "int8", "unrolled"],
)
def test_a_damaged_layout_passes_or_is_refused_and_nothing_else(data: bytes, copies: int) -> None:
    rng = np.random.default_rng(11)
    places = layout_of(data)
    refused = 0
    for _ in range(copies):
        damaged = bytearray(data)
        for place in rng.choice(places, rng.integers(1, 4)):
            damaged[place] = rng.integers(256)
        try:
            check_model(bytes(damaged))
        except ValueError as error:
            assert str(error).isprintable()
            refused += 1
    assert copies / 10 < refused < copies
