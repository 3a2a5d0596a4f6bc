"""Where full detection looks: where something is new, a few times, and everywhere now and then."""

import numpy as np

from affectd.face.change_map import ANEW_S, CELL, ChangeMap
from affectd.face.detector import SmallPicture

ROWS, COLUMNS = 240, 320
WHOLE = (0, 0, COLUMNS, ROWS)
ATTEMPTS = 2


class Room:
    """A still picture with noise, in which squares can be put; a tenth of a second passes from look to look."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)
        self.picture = self.rng.integers(40, 200, (ROWS // 40, COLUMNS // 40)).repeat(40, 0).repeat(40, 1).astype(float)
        self.changes = ChangeMap()
        self.looks = 0
        self.newest = None

    def look(self, *followed):
        noisy = self.picture + self.rng.normal(0, 3, self.picture.shape)
        small = SmallPicture(np.clip(noisy, 0, 255).astype(np.uint8), 2.0)
        self.looks += 1
        self.newest = self.changes.next_search(small, self.looks / 10, followed, ATTEMPTS)
        return None if self.newest is None else around(self.newest.cells)

    def put(self, x, y, side, grey=0):
        self.picture[y : y + side, x : x + side] = grey

    def settle(self):
        looks = 0
        while self.look() is not None:
            looks += 1
        return looks


def around(cells):
    """Return left, top, right and bottom of the cells, in pixels."""
    across, down = np.flatnonzero(cells.any(axis=0)), np.flatnonzero(cells.any(axis=1))
    return CELL * across[0], CELL * down[0], CELL * (across[-1] + 1), CELL * (down[-1] + 1)


def test_a_new_picture_is_looked_at_whole_and_a_few_times_in_every_way() -> None:
    room = Room()
    regions = [room.look() for _ in range(3 * ATTEMPTS)]
    assert set(regions) == {WHOLE}
    assert room.look() is None


def test_what_is_new_is_looked_at_with_what_surrounds_it() -> None:
    room = Room()
    room.settle()
    room.put(200, 80, 40)
    left, top, right, bottom = room.look()
    assert 140 <= left <= 184
    assert 20 <= top <= 64
    assert 256 <= right <= 300
    assert 136 <= bottom <= 180


def test_everything_is_looked_at_again_now_and_then() -> None:
    room = Room()
    room.settle()
    waited = 0
    while (region := room.look()) is None:
        waited += 1
    assert region == WHOLE
    assert waited < 10 * ANEW_S
    assert room.look() is None


def test_a_followed_face_moving_in_its_place_is_nothing_new_but_what_comes_beside_it_is() -> None:
    room = Room()
    room.settle()
    room.put(100, 100, 40)
    face = (2 * 100.0, 2 * 100.0, 2 * 40.0, 2 * 40.0)
    assert room.look(face) is None
    room.put(260, 100, 40)
    left, _, right, _ = room.look(face)
    assert left > 140
    assert right > 280


def test_the_body_of_a_followed_face_is_looked_at_once_in_every_way_and_then_with_all_else_only() -> None:
    room = Room()
    face = (2 * 100.0, 2 * 40.0, 2 * 40.0, 2 * 40.0)
    body = (slice(120 // CELL, 220 // CELL), slice(60 // CELL, 160 // CELL))
    looks = 0
    for number in range(10):
        if room.look(face) is not None:
            looks += room.newest.cells[body].all()
        room.put(60, 120, 100, grey=255 * (number % 2))
    assert looks == ATTEMPTS
    while (region := room.look(face)) is None:
        pass
    assert region == WHOLE


def test_between_two_places_that_are_new_nothing_is() -> None:
    room = Room()
    room.settle()
    room.put(0, 0, 24)
    room.put(280, 200, 24)
    assert room.look() == (0, 0, COLUMNS, ROWS)
    assert not room.newest.cells[ROWS // CELL // 2].any()


def test_everything_is_looked_at_anew_in_each_way_in_turn() -> None:
    room = Room()
    room.settle()
    ways = []
    for number in range(100):
        room.put(0, 0, 16, grey=255 * (number % 2))
        if room.look() == WHOLE:
            ways.append(room.newest.attempt % ATTEMPTS)
    assert ways[:4] == [0, 1, 0, 1]


def test_a_face_no_longer_followed_is_looked_for_where_it_was() -> None:
    room = Room()
    room.settle()
    room.put(100, 100, 40)
    face = (2 * 100.0, 2 * 100.0, 2 * 40.0, 2 * 40.0)
    for _ in range(10):
        room.look(face)
    assert room.look() is not None


def test_a_picture_of_another_size_and_one_after_forgetting_are_new() -> None:
    room = Room()
    room.settle()
    room.changes.forget()
    assert room.look() == WHOLE
    small = SmallPicture(np.zeros((100, 60), np.uint8), 1.0)
    assert room.changes.next_search(small, 9.0, [], ATTEMPTS).cells.all()
