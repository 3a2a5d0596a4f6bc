"""The voice path: voice activity, streaming features, and the speech classifier."""
