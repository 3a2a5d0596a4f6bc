"""The pictures of an open device: buffers that the driver fills and this side queues again."""

from __future__ import annotations

import ctypes
import errno
import mmap
import select
import time
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from affectd.capture.v4l2 import ioctl
from affectd.capture.v4l2.device import Device
from affectd.capture.v4l2.ioctl import BufferFlag, BufferType

BUFFERS = 4
"""One being filled, one next, one that is read, one for a late reader."""
MOST_PLANES = 8
OLDEST_S = 60.0
"""A picture that is older by its stamp was stamped by another clock."""


class Stream:
    """A device that sends pictures until it is closed. Raises OSError when the driver refuses or the device is gone."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._several = device.buffer_type is BufferType.VIDEO_CAPTURE_MPLANE
        self._memory: list[mmap.mmap] = []
        """Of each buffer; of several planes, the first."""
        self._held: ioctl.Buffer | None = None
        self._running = False
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def wait(self, timeout_s: float) -> float:
        """Wait for a picture, forget all but the newest, and return when it was captured, on the monotonic clock.

        Raises TimeoutError when none came.
        """
        end = time.monotonic() + timeout_s
        self._give_back()
        poll = select.poll()
        poll.register(self._device.fd, select.POLLIN)
        while self._held is None:
            left = end - time.monotonic()
            happened = poll.poll(1e3 * left) if left > 0 else []
            if not happened:
                raise TimeoutError
            while (buffer := self._filled()) is not None:
                self._give_back()
                self._held = buffer
            if self._held is None and happened[0][1] & (select.POLLERR | select.POLLHUP):
                raise OSError(errno.EIO, "the driver reports an error and no picture")
        return self._captured_at(self._held)

    def data(self) -> NDArray[np.uint8]:
        """Return a copy of what the picture consists of; of several planes, the first. Empty when it is damaged."""
        if self._held is None or self._held.flags & BufferFlag.ERROR:
            return np.empty(0, np.uint8)
        memory, start, used = self._memory[self._held.index], 0, self._held.bytesused
        if self._several:
            plane = self._held.m.planes[0]
            start, used = plane.data_offset, plane.bytesused
        return np.frombuffer(memory[start:used], np.uint8)

    def close(self) -> None:
        """Stop, and return the buffers to the kernel; the device stays open."""
        self._held = None
        if self._running:
            self._running = False
            with suppress(OSError):
                self._device.call(ioctl.STREAMOFF, ctypes.c_int32(self._device.buffer_type))
        for memory in self._memory:
            memory.close()
        self._memory.clear()
        with suppress(OSError):
            self._request(0)

    def _start(self) -> None:
        count = self._request(BUFFERS).count
        if not count:
            raise OSError(errno.ENOMEM, "the driver has no memory for pictures")
        for index in range(count):
            buffer = self._device.call(ioctl.QUERYBUF, self._buffer(index))
            place = buffer.m.planes[0] if self._several else buffer
            offset = place.m.mem_offset if self._several else place.m.offset
            self._memory.append(mmap.mmap(self._device.fd, place.length, offset=offset))
            self._device.call(ioctl.QBUF, self._buffer(index))
        self._device.call(ioctl.STREAMON, ctypes.c_int32(self._device.buffer_type))
        self._running = True

    def _request(self, count: int) -> ioctl.RequestBuffers:
        wanted = ioctl.RequestBuffers(count=count, type=self._device.buffer_type, memory=ioctl.MEMORY_MMAP)
        return self._device.call(ioctl.REQBUFS, wanted)

    def _buffer(self, index: int = 0) -> ioctl.Buffer:
        buffer = ioctl.Buffer(index=index, type=self._device.buffer_type, memory=ioctl.MEMORY_MMAP)
        if self._several:
            buffer.m.planes = ctypes.cast((ioctl.Plane * MOST_PLANES)(), ctypes.POINTER(ioctl.Plane))
            buffer.length = MOST_PLANES
        return buffer

    def _filled(self) -> ioctl.Buffer | None:
        """Return the next picture that waits; None when none does."""
        try:
            return self._device.call(ioctl.DQBUF, self._buffer())
        except BlockingIOError:
            return None

    def _give_back(self) -> None:
        if self._held is not None:
            index, self._held = self._held.index, None
            self._device.call(ioctl.QBUF, self._buffer(index))

    @staticmethod
    def _captured_at(buffer: ioctl.Buffer) -> float:
        now = time.monotonic()
        stamp = float(buffer.seconds + buffer.microseconds / 1e6)
        # Some drivers leave it 0, or stamp by another clock.
        return stamp if buffer.flags & BufferFlag.TIMESTAMP_MONOTONIC and 0 <= now - stamp < OLDEST_S else now
