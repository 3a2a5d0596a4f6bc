"""Between a device's thread and a worker: the newest frame only, and sound that is never lost unsaid."""

from __future__ import annotations

import threading
import time

import numpy as np

from affectd.capture.buffers import AudioQueue, LatestFrame
from affectd.events import AudioChunk, Frame


def frame(number: int) -> Frame:
    return Frame(np.zeros((2, 2, 3), np.uint8), float(number), number)


def chunk(number: int, lost: int = 0) -> AudioChunk:
    return AudioChunk(np.full(100, number, np.int16), 16_000, float(number), lost)


def test_the_worker_gets_the_newest_frame_and_the_rest_is_counted() -> None:
    slot = LatestFrame()
    for number in range(5):
        slot.put(frame(number))
    _, taken = slot.take(0)
    assert taken is not None
    assert taken.number == 4
    assert slot.dropped == 4
    assert slot.take(0.01) == (0, None)
    assert not slot.finished


def test_a_closed_slot_gives_its_last_frame_and_is_finished() -> None:
    slot = LatestFrame()
    slot.put(frame(1))
    slot.close()
    slot.put(frame(2))
    assert not slot.finished
    _, taken = slot.take(0)
    assert taken is not None
    assert taken.number == 1
    assert slot.finished
    assert slot.take(60) == (0, None)  # at once


def test_lossless_hand_overs_deliver_everything_in_order() -> None:
    slot, sound = LatestFrame(lossless=True), AudioQueue(capacity=2, lossless=True)

    def deliver() -> None:
        segments = slot.begin(), sound.begin()
        for number in range(50):
            slot.put(frame(number))
            sound.put(chunk(number))
        slot.close()
        sound.close()
        slot.end(segments[0])
        sound.end(segments[1])

    device = threading.Thread(target=deliver)
    device.start()
    numbers, lost = [], 0
    while not (slot.finished and sound.finished):
        (_, picture), (_, heard) = slot.take(0.5), sound.take(0.5)
        numbers.append((picture.number if picture else None, int(heard.samples[0]) if heard else None))
        lost += heard.lost if heard else 0
    device.join()
    assert numbers == [(n, n) for n in range(50)]
    assert slot.dropped == lost == sound.lost_samples == 0


def test_closing_frees_a_device_that_waits_for_room() -> None:
    slot = LatestFrame(lossless=True)
    slot.put(frame(1))
    device = threading.Thread(target=slot.put, args=(frame(2),), daemon=True)
    device.start()
    time.sleep(0.05)
    assert device.is_alive()
    slot.close()
    device.join(10)
    assert not device.is_alive()


def test_sound_that_falls_out_is_counted_in_the_chunk_that_follows() -> None:
    sound = AudioQueue(capacity=3)
    for number, lost in enumerate((0, 7, 0, 0, 5)):
        sound.put(chunk(number, lost))
    heard = [sound.take(0)[1] for _ in range(3)]
    assert [(int(c.samples[0]), c.lost) for c in heard if c] == [(2, 207), (3, 0), (4, 5)]
    assert sound.lost_samples == 200
    assert len(sound) == 0


def test_what_waits_is_forgotten_when_the_device_closes_and_a_new_stretch_is_told() -> None:
    slot, sound = LatestFrame(), AudioQueue(capacity=2)
    for hand_over, item in ((slot, frame), (sound, chunk)):
        first = hand_over.begin()
        for number in range(3):
            hand_over.put(item(number))
        hand_over.end(first)
        between, nothing = hand_over.take(0.01)
        assert nothing is None
        second = hand_over.begin()
        assert len({first, between, second}) == 3
        hand_over.put(item(9))
        segment, taken = hand_over.take(0)
        assert segment == second
        assert taken is not None
        assert taken.captured_at == 9
    assert taken.lost == 0  # what fell out before was of another segment


def test_a_device_left_behind_ends_no_stretch_but_its_own() -> None:
    slot = LatestFrame()
    left_behind = slot.begin()
    current = slot.begin()
    slot.put(frame(1))
    slot.end(left_behind)
    segment, taken = slot.take(0)
    assert segment == current
    assert taken is not None
