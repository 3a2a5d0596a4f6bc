"""What the box wants of an imported model: one input of its own shape, float32, and one logit a label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from affectd_convert.errors import ConversionError

Shape = Sequence[int | None]
FACE_AXES = ("height", "width", "channels")
CHANNELS = (1, 3)
NO_SOFTMAX = "does not end in a softmax that can be taken off; train it to give logits and set output = 'logits'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the TOML says of a model's ends."""

    input: tuple[int, ...]
    """What the box makes, without the batch: (height, width, channels), (frames, height, width, channels) or, of a
    voice, (frames, columns)."""
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
            f"{model}: takes {shown(takes)}, but by the TOML the box makes {shown(self.input)}; {self._way_out(takes)}"
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
            raise ConversionError(
                f"{model}: gives {shown(output)}, and labels names {len(self.order)} outputs; name each once, in their "
                'order, and in a table [labels] those that are none of affectd\'s labels = "none"'
            )

    def _way_out(self, takes: Shape) -> str:
        """Return the lines of the TOML that lead to the shape that a model takes."""
        if len(self.input) < len(FACE_AXES):
            return "set in [features] the kind and the sizes that it was trained with: see models/README.md"
        made, *picture = self.input if len(self.input) > len(FACE_AXES) else (1, *self.input)
        frames, *takes = takes if len(takes) > len(FACE_AXES) else (1, *takes)
        sizes = [size for size in takes if size != 1] if len(takes) > len(FACE_AXES) else list(takes)
        if len(sizes) == len(FACE_AXES) and sizes[0] in CHANNELS and sizes[2] not in CHANNELS:
            sizes = [*sizes[1:], sizes[0]]
        if len(sizes) != len(FACE_AXES) or sizes[2] not in (*CHANNELS, None):
            return "the box makes pictures of a face, with 1 or 3 channels: train it for such"
        height, width, channels = (want if have is None else have for have, want in zip(sizes, picture, strict=True))
        lines = []
        if frames is None and made == 1:
            lines.append("frames, as many as it was trained with")
        elif frames not in (None, made):
            lines.append(f"frames = {frames}")
        if [height, width] != picture[:2]:
            lines.append(f"size = {height if height == width else [height, width]}")
        if channels != picture[2]:
            in_colour = 'colour = "rgb" or "bgr", as it was trained, or for grey repeated channels = 3'
            lines.append(in_colour if channels == max(CHANNELS) else 'colour = "grey", and leave channels out')
        return f"write in [preprocessing] {' and '.join(lines)}"


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
        """Describe what becomes of the input; empty where nothing does."""
        how = "turned" if self.turned else "reshaped"
        return f"takes {shown(self.shape)}: the box's input {shown(self.box)} is {how} to it" if self.changes else ""


def shown(shape: Shape) -> str:
    """Return a shape as people read it: '(any, 7)'."""
    return "(" + ", ".join("any" if size is None else str(size) for size in shape) + ("," * (len(shape) == 1)) + ")"


def _permutations(axes: int) -> list[tuple[int, ...]]:
    """Return the axes' orders that exporters have: as they are, and the last one first; of frames that of each."""
    same = tuple(range(axes))
    frames = max(0, axes - len(FACE_AXES))
    return [same] if axes == 1 else [same, (*same[:frames], same[-1], *same[frames:-1])]


def _fill(takes: Shape, gives: Sequence[int]) -> tuple[int, ...] | None:
    """Return `takes` without its unknown sizes where `gives` fits, axes of one aside; None where it does not."""
    if len(takes) == len(gives):
        if all(size in (None, given) for size, given in zip(takes, gives, strict=True)):
            return tuple(gives)
        return None
    if None not in takes and [size for size in takes if size != 1] == [size for size in gives if size != 1]:
        return tuple(size for size in takes if size is not None)
    return None
