"""A fusion with its default settings."""

import pytest

from affectd.fusion.fuser import Fuser
from support.fusing import Run


@pytest.fixture
def run():
    return Run(Fuser())
