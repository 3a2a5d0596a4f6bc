"""Where the bundles that came with affectd lie."""

from __future__ import annotations

from pathlib import Path

from affectd.errors import ModelError
from affectd.share import CHECKOUT, shared_folder


def installed_models() -> Path:
    """Return the folder of bundles: a checkout's `models/`, else the environment's share/affectd/models.

    Raises ModelError when neither is there.
    """
    places = (CHECKOUT / "models", shared_folder() / "models")
    for place in places:
        if any(place.glob("*/manifest.json")):
            return place
    looked = " or ".join(str(place) for place in places)
    raise ModelError(f"no models in {looked}; install affectd again, or name their folder in inference.models")
