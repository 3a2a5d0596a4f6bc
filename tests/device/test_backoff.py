"""The delay before the next try."""

import pytest

from affectd.backoff import Backoff


@pytest.mark.parametrize(("failures", "longest"), [(1, 0.5), (2, 1), (4, 4), (5, 8), (6, 8), (10_000, 8)])
def test_it_doubles_up_to_its_bound(failures, longest):
    assert Backoff(0.5, 8).delay_s(failures) == longest
    delays = {Backoff(0.5, 8, jitter=0.5).delay_s(failures) for _ in range(50)}
    assert longest / 2 <= min(delays) < max(delays) <= longest
