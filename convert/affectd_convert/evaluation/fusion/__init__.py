"""Fusion measured: every strategy of the device on pairs of a held-out face and a voice never heard, of one label."""
