"""Calls to a driver that hangs: in order, on one thread, and never in the caller's way for longer than it allows."""

from __future__ import annotations

import threading
import time
from concurrent.futures import TimeoutError as FutureTimeoutError

import pytest

from affectd.capture.driver_thread import DriverThread


def test_calls_are_made_in_order_on_one_thread() -> None:
    driver, made = DriverThread("driver"), []
    futures = [driver.post(lambda i=i: made.append((i, threading.get_ident()))) for i in range(50)]
    futures[-1].result(10)
    assert [i for i, _ in made] == list(range(50))
    assert {thread for _, thread in made} != {threading.get_ident()}
    assert len({thread for _, thread in made}) == 1


def test_what_a_call_gives_and_raises_comes_back() -> None:
    driver = DriverThread("driver")
    assert driver.post(lambda: 7).result(10) == 7
    with pytest.raises(ZeroDivisionError):
        driver.post(lambda: 1 // 0).result(10)
    assert driver.post(lambda: "still here").result(10) == "still here"


def test_a_call_that_hangs_costs_its_caller_the_timeout_and_holds_up_the_later_ones() -> None:
    driver, release, made = DriverThread("driver"), threading.Event(), []
    hanging = driver.post(release.wait)
    began = time.monotonic()
    with pytest.raises(FutureTimeoutError):
        hanging.result(0.2)
    assert time.monotonic() - began < 5
    withdrawn = driver.post(lambda: made.append("withdrawn"))
    kept = driver.post(lambda: made.append("kept"))
    assert withdrawn.cancel()
    assert not hanging.cancel()
    assert not kept.done()
    release.set()
    kept.result(10)
    assert made == ["kept"]
