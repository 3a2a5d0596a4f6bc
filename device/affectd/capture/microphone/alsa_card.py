"""The formats of a sound card itself, queried from ALSA: PortAudio converts, and so does not report them."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

SAMPLE_FORMATS = ("S16_LE", "S24_LE", "S24_3LE", "S32_LE", "FLOAT_LE")
"""Those that are known here, by ALSA's names; S24_LE takes four bytes, S24_3LE three."""
_CAPTURE, _NONBLOCK = 1, 1


@dataclass(frozen=True, slots=True)
class CardFormats:
    """What a capture device of a card takes."""

    sample_formats: tuple[str, ...]
    rates: tuple[int, int]
    """Slowest and fastest, Hz."""
    channels: tuple[int, int]
    """Fewest and most."""


def card_formats(alsa_name: str) -> CardFormats | None:
    """Return what the card of this name (`hw:1,0`) takes; None while it cannot be opened: gone, or in use."""
    try:
        alsa = ctypes.CDLL("libasound.so.2")
    except OSError:
        return None
    with _opened(alsa, alsa_name) as pcm:
        if pcm is None:
            return None
        space = ctypes.c_void_p()
        alsa.snd_pcm_hw_params_malloc(ctypes.byref(space))
        try:
            if alsa.snd_pcm_hw_params_any(pcm, space) < 0:
                return None
            taken = tuple(
                name
                for name in SAMPLE_FORMATS
                if alsa.snd_pcm_hw_params_test_format(pcm, space, alsa.snd_pcm_format_value(name.encode())) == 0
            )
            return CardFormats(taken, _range(alsa, space, "rate"), _range(alsa, space, "channels"))
        finally:
            alsa.snd_pcm_hw_params_free(space)


@contextmanager
def _opened(alsa: ctypes.CDLL, name: str) -> Iterator[ctypes.c_void_p | None]:
    pcm = ctypes.c_void_p()
    if alsa.snd_pcm_open(ctypes.byref(pcm), name.encode(), _CAPTURE, _NONBLOCK) < 0:
        yield None
        return
    try:
        yield pcm
    finally:
        alsa.snd_pcm_close(pcm)


def _range(alsa: ctypes.CDLL, space: ctypes.c_void_p, quantity: str) -> tuple[int, int]:
    def end(which: str) -> int:
        value, direction = ctypes.c_uint(), ctypes.c_int()
        get = getattr(alsa, f"snd_pcm_hw_params_get_{quantity}_{which}")
        # Channels are whole numbers and have no direction.
        get(space, ctypes.byref(value), *([ctypes.byref(direction)] if quantity == "rate" else []))
        return value.value

    return end("min"), end("max")
