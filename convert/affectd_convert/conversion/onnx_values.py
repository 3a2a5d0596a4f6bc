"""Tensors of an ONNX graph on their way through TensorFlow: channels are kept last, where TFLite wants them.

ONNX has a picture as (batch, channels, height, width), TFLite's convolutions take (batch, height, width, channels).
Turning it before and after every convolution would cost more than many a convolution: a `Value` remembers that it is
stored the other way round, and is turned only where an operation asks for the axes as ONNX counts them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from affectd_convert.errors import ConversionError

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """A tensor that depends on the network's input."""

    tensor: Any
    channels_last: bool = False
    """Whether ONNX's axis 1 is stored last."""

    @property
    def rank(self) -> int:
        """Number of axes, the batch among them."""
        return len(self.tensor.shape)

    @property
    def shape(self) -> tuple[int, ...]:
        """As ONNX counts the axes."""
        sizes = [int(size) for size in self.tensor.shape]
        return tuple([sizes[0], sizes[-1], *sizes[1:-1]] if self.channels_last else sizes)

    def axis(self, number: int) -> int:
        """Return where ONNX's axis `number`, perhaps negative, is stored."""
        number %= self.rank
        if not self.channels_last or number == 0:
            return number
        return self.rank - 1 if number == 1 else number - 1

    def plain(self) -> Any:
        """Return the tensor with its axes as ONNX counts them."""
        return turned(self.tensor, [self.axis(number) for number in range(self.rank)])

    def last(self) -> Any:
        """Return the tensor with ONNX's axis 1 last."""
        return self.tensor if self.channels_last else turned(self.tensor, [0, *range(2, self.rank), 1])


Operand = Value | Array
"""A tensor of the graph, or one that is known before the network runs: weights, shapes."""


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One operation with its inputs."""

    kind: str
    """ONNX's name of the operation: 'Conv'."""
    name: str
    inputs: Sequence[Operand | None]
    """None where an optional one is left out."""
    attributes: dict[str, Any]
    opset: int
    outputs: int
    """How many it has."""

    def has(self, number: int) -> bool:
        """Whether the input is given."""
        return number < len(self.inputs) and self.inputs[number] is not None

    def operand(self, number: int) -> Operand:
        """Return an input. Raises ConversionError when it is left out."""
        found = self.inputs[number] if number < len(self.inputs) else None
        if found is None:
            raise self.unsupported(f"without its input {number}")
        return found

    def value(self, number: int = 0) -> Value:
        """Return an input as a tensor."""
        found = self.operand(number)
        return found if isinstance(found, Value) else Value(tf.constant(found))

    def constant(self, number: int, what: str) -> Array:
        """Return an input that must be known before the network runs. Raises ConversionError when it is not."""
        found = self.operand(number)
        if isinstance(found, Value):
            raise self.unsupported(f"with {what} that depend on the network's input")
        return found

    def numbers(self, name: str, number: int, default: Sequence[int] | None = None) -> list[int] | None:
        """Return whole numbers that are an attribute in older opsets and an input in newer ones."""
        if name in self.attributes:
            return [int(value) for value in np.atleast_1d(self.attributes[name])]
        if self.has(number):
            return [int(value) for value in np.atleast_1d(self.constant(number, name))]
        return None if default is None else list(default)

    def unsupported(self, how: str) -> ConversionError:
        """Return the error for a form of the operation that is not taken."""
        return ConversionError(f"holds {self.kind} ({self.name}) {how}; affectd has no form of it for the box")


def turned(tensor: Any, permutation: Sequence[int]) -> Any:
    """Return a tensor with its axes in another order; as it is where none of them moves."""
    if list(permutation) == list(range(len(permutation))):
        return tensor
    sizes = [int(size) for size in tensor.shape]
    if [axis for axis in permutation if sizes[axis] != 1] == [axis for axis in range(len(sizes)) if sizes[axis] != 1]:
        # Only axes of one move: the numbers stay where they are.
        return tf.reshape(tensor, [sizes[axis] for axis in permutation])
    return tf.transpose(tensor, permutation)


def aligned(operands: Sequence[Operand]) -> tuple[list[Any], bool]:
    """Return operands that can be broadcast against each other, and whether their channels are last."""
    rank = max((each.rank for each in operands if isinstance(each, Value) and each.channels_last), default=0)
    if rank and all(_can_be_last(each, rank) for each in operands):
        return [_as_last(each, rank) for each in operands], True
    return [each.plain() if isinstance(each, Value) else each for each in operands], False


def _can_be_last(operand: Operand, rank: int) -> bool:
    return operand.rank == rank if isinstance(operand, Value) else operand.ndim <= rank


def _as_last(operand: Operand, rank: int) -> Any:
    if isinstance(operand, Value):
        return operand.last()
    if operand.size == 1:
        return operand.reshape(())
    return np.moveaxis(operand.reshape((1,) * (rank - operand.ndim) + operand.shape), 1, -1)
