"""A TFLite model's layout, walked before a runtime gets it: whatever points outside of its bytes is refused.

tflite-runtime follows a FlatBuffer's offsets without a look at where it ends, so that a cut file can end the whole
process with SIGSEGV. A wrong checksum keeps such a file away, unless a manifest vouches for it.

Layout: https://flatbuffers.dev/internals/. Schema: tensorflow/lite/schema/schema.fbs, in TensorFlow's repository.

Not looked into: an operator's options, a tensor's sparsity and the details of its quantization, of which no more is
known than that the table itself lies within the bytes; buffers in other files; alignment; whether operators come in
the order in which they need each other; whether shapes, types and weights fit each other, which is the runtimes' to
see, as the weights are the golden samples' to prove.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

IDENTIFIER = b"TFL3"
MOST_ENTRIES = 250_000
"""Of all vectors together. A network of 1,100 operators has 10,000; without a bound, vectors that share their bytes
could hold up a start for hours."""
OPTIONAL = -1
"""In the place of an operator's input: it goes without this one."""

_SCALARS = {
    kind: struct.Struct(f"<{code}")
    for kind, code in zip(("bool", "byte", "ubyte", "int", "uint", "long", "ulong", "float"), "?bBiIqQf", strict=True)
}
_INT, _UINT, _VTABLE, _SLOT = _SCALARS["int"], _SCALARS["uint"], struct.Struct("<HH"), struct.Struct("<H")
_SCHEMA = {
    "Model": "0 version uint, 1 operator_codes [OperatorCode], 2 subgraphs [SubGraph], 3 description string,"
    "4 buffers [Buffer], 5 metadata_buffer [int], 6 metadata [Metadata], 7 signature_defs [SignatureDef]",
    "OperatorCode": "0 deprecated_builtin_code byte, 1 custom_code string, 2 version int, 3 builtin_code int",
    "SubGraph": "0 tensors [Tensor], 1 inputs [int], 2 outputs [int], 3 operators [Operator], 4 name string",
    "Tensor": "0 shape [int], 1 type byte, 2 buffer uint, 3 name string, 4 quantization QuantizationParameters,"
    "5 is_variable bool, 6 sparsity table, 7 shape_signature [int], 8 has_rank bool",
    "QuantizationParameters": "0 min [float], 1 max [float], 2 scale [float], 3 zero_point [long],"
    "4 details_type ubyte, 5 details table, 6 quantized_dimension int",
    "Operator": "0 opcode_index uint, 1 inputs [int], 2 outputs [int], 3 builtin_options_type ubyte,"
    "4 builtin_options table, 5 custom_options [ubyte], 6 custom_options_format byte,"
    "7 mutating_variable_inputs [bool], 8 intermediates [int], 9 large_custom_options_offset ulong,"
    "10 large_custom_options_size ulong, 11 builtin_options_2_type ubyte, 12 builtin_options_2 table",
    "Buffer": "0 data [ubyte], 1 offset ulong, 2 size ulong",
    "Metadata": "0 name string, 1 buffer uint",
    "SignatureDef": "0 inputs [TensorMap], 1 outputs [TensorMap], 2 signature_key string, 4 subgraph_index uint",
    "TensorMap": "0 name string, 1 tensor_index uint",
    "table": "",
}
"""Tables with their fields' numbers, names and kinds; 'table' is one that is looked at from outside only."""
_TABLES = {
    table: [(int(number), name, kind) for number, name, kind in map(str.split, filter(None, fields.split(",")))]
    for table, fields in _SCHEMA.items()
}
_Table = Mapping[str, Any]
_Layout = tuple[int, list[tuple[str, str, int, str]]]
"""The content of a vtable: its tables' size, and each field's name, kind, offset in the table, and name in an error."""


def check_model(data: bytes) -> None:
    """Raise ValueError, in a sentence, when this is no TFLite model or points outside of its bytes."""
    if len(data) < 8 or data[4:8] != IDENTIFIER:
        raise ValueError("not a TFLite model")
    walk = _Walk(data)
    _check_references(walk.table("Model", walk.target(0)), walk)


class _Walk:
    """Reads a FlatBuffer's tables, each part after a look at its bounds. As deep as the schema, whatever the data."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._left = MOST_ENTRIES
        self._layouts: dict[tuple[str, int], _Layout] = {}

    def table(self, name: str, at: int) -> _Table:
        """Return the fields that a table has; of vectors, those of tables and of ints only."""
        self.need(at, 4, name)
        vtable = at - _INT.unpack_from(self._data, at)[0]
        # Most tables of a kind share one.
        layout = self._layouts.get((name, vtable))
        if layout is None:
            layout = self._layouts[name, vtable] = self._layout(name, vtable)
        size, fields = layout
        self.need(at, size, name)
        return {field: self._value(kind, at + offset, what) for field, kind, offset, what in fields}

    def target(self, at: int) -> int:
        """Return where the offset that stands at `at` points to."""
        offset: int = _UINT.unpack_from(self._data, at)[0]
        return at + offset

    def need(self, at: int, size: int, what: str) -> None:
        """Raise ValueError unless `size` bytes at `at` are there."""
        if at < 0 or at + size > len(self._data):
            raise ValueError(f"cut or damaged: {what} lies at bytes {at} to {at + size} of {len(self._data)}")

    def _layout(self, name: str, vtable: int) -> _Layout:
        self.need(vtable, _VTABLE.size, f"the vtable of {name}")
        length, size = _VTABLE.unpack_from(self._data, vtable)
        self.need(vtable, length, f"the vtable of {name}")
        if length < 4 or length % 2 or size < 4:
            raise ValueError(f"damaged: {name} has no vtable")
        fields = []
        for number, field, kind in _TABLES[name]:
            slot = 4 + 2 * number
            offset = _SLOT.unpack_from(self._data, vtable + slot)[0] if slot < length else 0
            if offset:
                if not 4 <= offset <= size - _width(kind):
                    raise ValueError(f"damaged: {name}.{field} lies outside of its table")
                fields.append((field, kind, offset, f"{name}.{field}"))
        return size, fields

    def _value(self, kind: str, at: int, what: str) -> Any:
        if kind in _SCALARS:
            return _SCALARS[kind].unpack_from(self._data, at)[0]
        start = self.target(at)
        if kind in _TABLES:
            return self.table(kind, start)
        self.need(start, 4, what)
        count = _UINT.unpack_from(self._data, start)[0]
        if kind != "string":
            return self._items(kind[1:-1], start + 4, count, what)
        self.need(start + 4, count + 1, what)
        if self._data[start + 4 + count]:
            raise ValueError(f"damaged: {what} does not end")  # the runtimes read on until there is a zero
        return None

    def _items(self, kind: str, at: int, count: int, what: str) -> Sequence[Any]:
        self.need(at, count * _width(kind), what)
        if kind not in _TABLES and kind != "int":
            return ()
        self._left -= count
        if self._left < 0:
            raise ValueError(f"damaged: its vectors have more than {MOST_ENTRIES:,} entries")
        if kind == "int":
            return struct.unpack_from(f"<{count}i", self._data, at)
        return [self.table(kind, self.target(place)) for place in range(at, at + 4 * count, 4)]


def _width(kind: str) -> int:
    """Return the bytes that a value takes where it stands: those of an offset, unless it is a scalar."""
    return _SCALARS[kind].size if kind in _SCALARS else _UINT.size


def _check_references(model: _Table, walk: _Walk) -> None:
    """Raise ValueError when a table names by number what there is not, or data behind the tables that is not there."""
    for name in ("operator_codes", "subgraphs", "buffers"):
        if not model.get(name):
            raise ValueError(f"damaged: it has no {name}")
    graphs, buffers = model["subgraphs"], model["buffers"]
    for buffer in buffers:
        walk.need(buffer.get("offset", 0), buffer.get("size", 0), "Buffer.offset")
    _check_indices("Metadata.buffer", [entry.get("buffer", 0) for entry in model.get("metadata", ())], buffers)
    for graph in graphs:
        tensors = graph.get("tensors", ())
        _check_indices("Tensor.buffer", [tensor.get("buffer", 0) for tensor in tensors], buffers)
        _check_indices("SubGraph.inputs", graph.get("inputs", ()), tensors)
        _check_indices("SubGraph.outputs", graph.get("outputs", ()), tensors)
        for operator in graph.get("operators", ()):
            _check_operator(operator, tensors, model["operator_codes"], walk)
    for signature in model.get("signature_defs", ()):
        number = signature.get("subgraph_index", 0)
        _check_indices("SignatureDef.subgraph_index", [number], graphs)
        for side in ("inputs", "outputs"):
            named = [entry.get("tensor_index", 0) for entry in signature.get(side, ())]
            _check_indices(f"SignatureDef.{side}", named, graphs[number].get("tensors", ()))


def _check_operator(operator: _Table, tensors: Sequence[_Table], codes: Sequence[_Table], walk: _Walk) -> None:
    _check_indices("Operator.opcode_index", [operator.get("opcode_index", 0)], codes)
    _check_indices("Operator.inputs", operator.get("inputs", ()), tensors, lowest=OPTIONAL)
    _check_indices("Operator.outputs", operator.get("outputs", ()), tensors)
    _check_indices("Operator.intermediates", operator.get("intermediates", ()), tensors)
    options = operator.get("large_custom_options_offset", 0), operator.get("large_custom_options_size", 0)
    walk.need(*options, "Operator.large_custom_options_offset")


def _check_indices(what: str, indices: Sequence[int], among: Sequence[_Table], *, lowest: int = 0) -> None:
    for index in indices:
        if not lowest <= index < len(among):
            raise ValueError(f"damaged: {what} names number {index} of {len(among)}")
