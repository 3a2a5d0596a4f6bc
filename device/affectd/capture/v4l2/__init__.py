"""Cameras that a driver of the kernel's Video4Linux2 shows: which there are, what they can do, their pictures."""
