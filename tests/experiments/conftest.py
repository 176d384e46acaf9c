from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from caelab.experiments.config import RunConfig


@pytest.fixture(scope="session")
def small(pictures: Path) -> Callable[..., RunConfig]:
    """Make the configuration of a run of a second: 96 small pictures, three epochs."""

    def make(**changed: Any) -> RunConfig:
        usual: dict[str, Any] = {
            "network": "conv4 pool conv2 | up conv3",
            "data": str(pictures),
            "size": 16,
            "batch_size": 16,
            "epochs": 3,
        }
        return RunConfig().replace(**{**usual, **changed})

    return make


@pytest.fixture
def config(small: Callable[..., RunConfig]) -> RunConfig:
    """A run of a second."""
    return small()
