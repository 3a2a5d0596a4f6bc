"""Run affectd with libcamera's virtual camera behind picamera2: python virtual_camera.py ARGUMENTS OF affectd...

picamera2 is the real one, but for two things that a virtual camera has not: raw modes, and memory from its own
allocator, which ends the process on the preloaded memory (with PICAMERA2_ALLOCATOR=dma, so that this can be seen).
SIGUSR1 takes every buffer away from libcamera, as a sensor that stalls does; closing the camera gives them back.
"""

import os
import signal
import sys

# Before libraries start threads, to which these would come: affectd waits for them in one of its own.
signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))

import picamera2  # noqa: E402
from picamera2.allocators import LibcameraAllocator  # noqa: E402


class VirtualPicamera2(picamera2.Picamera2):
    newest = None

    def __init__(self, number):
        super().__init__(number)
        if os.environ.get("PICAMERA2_ALLOCATOR") != "dma":
            self.allocator = LibcameraAllocator(self.camera)
        VirtualPicamera2.newest = self

    def _get_raw_modes(self):
        return [{"format": "SRGGB10", "size": (1024, 768)}]

    def starve(self):
        """Keep the requests that carry the buffers."""
        self.post_callback = lambda request: request.acquire()


picamera2.Picamera2 = VirtualPicamera2
signal.signal(signal.SIGUSR1, lambda *_: VirtualPicamera2.newest.starve())

if __name__ == "__main__":
    from affectd.cli.main import main

    sys.exit(main())
