"""What the box wants of an imported model: one input of its own shape, float32, and one logit a label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from affectd_convert.errors import ConversionError

Shape = Sequence[int | None]
NO_SOFTMAX = "does not end in a softmax that can be taken off; train it to give logits and set output = 'logits'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the TOML says of a model's ends."""

    input: tuple[int, ...]
    """What the box makes, without the batch: (height, width, channels) or (frames, columns)."""
    output: str
    """What the model gives: 'logits', or 'softmax', which is taken off."""
    order: tuple[int, ...]
    """`order[k]` is the model's own number for affectd's label k."""

    def layout(self, model: Path, takes: Shape) -> Layout:
        """Return how the box's input becomes that of a model that `takes` a shape, without its batch; None: any size.

        Axes of one may be left out or added, and channels may come first, as PyTorch has them.
        Raises ConversionError when it fits in no way.
        """
        for permutation in _permutations(len(self.input)):
            shape = _fill(takes, [self.input[axis] for axis in permutation])
            if shape is not None:
                return Layout(self.input, permutation, shape)
        raise ConversionError(
            f"{model}: takes {shown(takes)}, but the box would give it {shown(self.input)}; set the size, or "
            "train it for the shape that [preprocessing] or [features] lead to"
        )

    def check_one(self, model: Path, inputs: int, outputs: int) -> None:
        """Raise ConversionError unless the model has one input and one output."""
        if (inputs, outputs) != (1, 1):
            raise ConversionError(f"{model}: has {inputs} inputs and {outputs} outputs; affectd runs one of each")

    def check_batch(self, model: Path, batch: int | None) -> None:
        """Raise ConversionError when the model only takes several inputs at a time."""
        if batch is not None and batch > 1:
            raise ConversionError(f"{model}: takes {batch} inputs at a time; export it for one, or for any number")

    def check_input_type(self, model: Path, dtype: str) -> None:
        """Raise ConversionError unless the model takes float32."""
        if dtype != "float32":
            raise ConversionError(f"{model}: takes {dtype}; affectd gives float32: export it with a float32 input")

    def check_labels(self, model: Path, output: Shape) -> None:
        """Raise ConversionError unless the output, with its batch, has one value for each label."""
        if len(output) != 2 or output[1] != len(self.order):
            count = len(self.order)
            raise ConversionError(f"{model}: gives {shown(output)} for {count} labels; expected (any, {count})")


@dataclass(frozen=True, slots=True)
class Layout:
    """How the box's input becomes the model's: its axes in another order, then axes of one added or taken."""

    box: tuple[int, ...]
    """The box's input, without the batch."""
    permutation: tuple[int, ...]
    """Its axes in the model's order."""
    shape: tuple[int, ...]
    """What the model takes, without the batch."""

    @property
    def turned(self) -> bool:
        """Whether the axes' order changes."""
        return self.permutation != tuple(sorted(self.permutation))

    @property
    def changes(self) -> bool:
        """Whether the model takes anything else than what the box gives."""
        return self.turned or self.shape != self.box

    def __str__(self) -> str:
        """Say what becomes of the input; empty where nothing does."""
        how = "turned" if self.turned else "reshaped"
        return f"takes {shown(self.shape)}: the box's input {shown(self.box)} is {how} to it" if self.changes else ""


def shown(shape: Shape) -> str:
    """Return a shape as people read it: '(any, 7)'."""
    return "(" + ", ".join("any" if size is None else str(size) for size in shape) + ("," * (len(shape) == 1)) + ")"


def _permutations(axes: int) -> list[tuple[int, ...]]:
    """Return the axes' orders that exporters have: as they are, and the last one first."""
    same = tuple(range(axes))
    return [same] if axes == 1 else [same, (same[-1], *same[:-1])]


def _fill(takes: Shape, gives: Sequence[int]) -> tuple[int, ...] | None:
    """Return `takes` without its unknown sizes where `gives` fits, axes of one aside; None where it does not."""
    if len(takes) == len(gives):
        if all(size in (None, given) for size, given in zip(takes, gives, strict=True)):
            return tuple(gives)
        return None
    if None not in takes and [size for size in takes if size != 1] == [size for size in gives if size != 1]:
        return tuple(size for size in takes if size is not None)
    return None
