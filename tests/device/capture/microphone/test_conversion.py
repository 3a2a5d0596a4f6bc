"""Any sample type, rate and channel count becomes mono int16 at 16 kHz, with DC and rumble gone and nothing lost."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from affectd.capture.microphone.channels import counts_to_try
from affectd.capture.microphone.conversion import Conversion, frames_of
from affectd.capture.microphone.portaudio import SAMPLE_TYPES, StreamFormat
from support.media import tone

BLOCK = 1_600
"""Frames in a tenth of a second."""


def convert(
    frames: NDArray[np.float64],
    *,
    sample_type: str = "int32",
    rate: int = 16_000,
    channel: str = "auto",
    gain_db: float = 0.0,
    high_pass_hz: float = 0.0,
) -> NDArray[np.int16]:
    """Return what is heard of (n, channels) frames in units of 16 bits' least, which come a tenth of a second each."""
    layout = StreamFormat(rate, frames.shape[1], sample_type)
    conversion = Conversion(layout, channel=channel, gain_db=gain_db, high_pass_hz=high_pass_hz)
    blocks = np.split(frames, range(rate // 10, len(frames), rate // 10))
    return np.concatenate([conversion.process(as_bytes(block, sample_type)) for block in blocks])


def as_bytes(frames: NDArray[np.float64], sample_type: str) -> bytes:
    """Return frames as a card with samples of this type would bring them."""
    if sample_type == "float32":
        return (frames / 32_768).astype("<f4").tobytes()
    bits = int(sample_type.removeprefix("int"))
    whole = np.rint(frames * 2.0 ** (bits - 16)).astype("<i4")
    if bits == 24:
        return whole.reshape(-1, 1).view(np.uint8)[:, :3].tobytes()
    return whole.astype(f"<i{bits // 8}").tobytes()


def of(*channels: NDArray[np.number]) -> NDArray[np.float64]:
    return np.stack(channels, axis=1).astype(np.float64)


def level(samples: NDArray[np.int16]) -> float:
    return float(np.sqrt(np.mean(samples.astype(np.float64) ** 2)))


@pytest.mark.parametrize("sample_type", SAMPLE_TYPES)
def test_every_16_bit_sample_is_kept_to_the_bit_whatever_the_type(sample_type: str) -> None:
    samples = np.random.default_rng(1).integers(-32_768, 32_768, 5_000, dtype=np.int16)
    samples[:2] = -32_768, 32_767
    np.testing.assert_array_equal(convert(of(samples), sample_type=sample_type), samples)


@pytest.mark.parametrize("sample_type", ["int24", "int32", "float32"])
def test_what_lies_below_16_bits_is_not_lost_before_the_gain(sample_type: str) -> None:
    whisper = tone(1.0) / 16_000.0  # of one 16-bit step
    heard = convert(of(whisper), sample_type=sample_type, gain_db=60)
    assert np.abs(heard - 1000 * whisper).max() <= 4.5  # 24 bits resolve 1/256 of a step
    assert not convert(of(0.4 * whisper), gain_db=0).any()


def test_gain_beyond_full_scale_is_cut_off() -> None:
    heard = convert(of(tone(0.5)), gain_db=20)
    assert (heard.min(), heard.max()) == (-32_768, 32_767)


def test_dc_and_rumble_go_and_speech_stays() -> None:
    seconds = np.arange(2 * 16_000) / 16_000
    offset = np.full(seconds.size, 5_000.0)
    heard = convert(of(offset), high_pass_hz=40)
    assert np.abs(heard).max() <= 1, "not even at the beginning is there a click"
    rumble = convert(of(8_000 * np.sin(2 * np.pi * 5 * seconds) + offset), high_pass_hz=40)[16_000:]
    assert level(rumble) < 0.02 * 8_000
    speech = 8_000 * np.sin(2 * np.pi * 120 * seconds)
    assert level(convert(of(speech + offset), high_pass_hz=20)[16_000:]) == pytest.approx(level(speech), rel=0.05)


def test_the_high_pass_knows_no_blocks() -> None:
    sound = 3_000 * np.random.default_rng(2).standard_normal(48_000).cumsum() / 50
    at_once = Conversion(StreamFormat(16_000, 1, "float32"), channel="auto", gain_db=0, high_pass_hz=30)
    first, rest = sound[:1_600], sound[1_600:]
    parts = [at_once.process(as_bytes(of(part), "float32")) for part in (first, rest)]
    in_blocks = convert(of(sound), sample_type="float32", high_pass_hz=30)
    assert np.abs(np.concatenate(parts).astype(int) - in_blocks).max() <= 1


def test_a_channel_is_chosen_by_its_number_and_auto_is_the_first_of_an_array() -> None:
    channels = [np.full(3_200, 100 * number) for number in range(1, 7)]
    assert set(convert(of(*channels), channel="5")) == {500}
    assert set(convert(of(*channels))) == {100}
    assert set(convert(of(*channels), channel="mean")) == {350}
    assert set(convert(of(*channels[:2]))) == {150}
    at_48_khz = convert(of(*(np.repeat(channel, 3) for channel in channels)), channel="5", rate=48_000)
    assert set(at_48_khz[100:]) == {500}


def test_the_loudest_is_followed_from_utterance_to_utterance_and_never_within_one() -> None:
    random, offsets = np.random.default_rng(3), np.array([0, 0, 0, 9_000.0])

    def room(seconds: float) -> NDArray[np.float64]:
        return random.normal(0, 5, (round(seconds * 16_000), 4)) + offsets

    def says(seconds: float, *levels: float) -> NDArray[np.float64]:
        frames = room(seconds)
        return frames + np.outer(tone(seconds)[: len(frames)] / 16_000, levels)

    first = says(2, 300, 3_000, 900, 300)
    first[16_000:17_600, 2] += random.normal(0, 8_000, 1_600)  # a door slams beside another microphone
    second = says(2, 900, 300, 3_000, 300)
    heard = convert(np.concatenate([room(1), first, room(1), second]), channel="loudest", high_pass_hz=20)
    words = [heard[start : start + 28_800].astype(float) for start in (17_600, 65_600)]
    for word in words:
        blocks = np.abs(word).reshape(-1, BLOCK).max(axis=1)
        assert (np.abs(blocks - 3_000) < 300).all(), blocks


@pytest.mark.parametrize(
    ("choice", "most", "counts"),
    [
        ("auto", 1, [1]),
        ("auto", 6, [1, 2, 6]),
        ("mean", 2, [2, 1]),
        ("mean", 32, [1, 32]),
        ("1", 1, [1]),
        ("1", 6, [2, 4, 6]),
        ("5", 6, [5, 6]),
        ("5", 32, [8, 6, 5, 32]),
        ("7", 6, []),
        ("64", 32, []),
        ("20", 32, [20, 32]),
        ("loudest", 6, [6, 4, 2, 1]),
        ("loudest", 32, [8, 6, 4, 2, 1, 32]),
    ],
)
def test_channels_are_asked_for_that_hold_the_choice(choice: str, most: int, counts: list[int]) -> None:
    assert counts_to_try(choice, most) == counts


def test_frames_are_in_units_of_16_bits_least() -> None:
    layout = StreamFormat(16_000, 2, "int24")
    np.testing.assert_array_equal(frames_of(b"\x80\xff\xff\x00\x80\x00", layout), [[-0.5, 128.0]])
