"""Microphones: PortAudio's devices, and one of them as mono sound at 16 kHz."""
