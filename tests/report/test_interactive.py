import base64
import io
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

from caelab.report.interactive import MAX_NETWORKS, choose_networks, sprite


def networks(count: int) -> dict[str, Any]:
    """Return stand-ins for runs whose error falls with their number."""
    return {f"n{index}": SimpleNamespace(mse=1 / (index + 1)) for index in range(count)}


def test_few_networks_are_all_chosen_by_rising_error() -> None:
    assert list(choose_networks(networks(3))) == ["n2", "n1", "n0"]


def test_the_best_the_worst_and_those_to_keep_are_chosen() -> None:
    chosen = list(choose_networks(networks(40), keep=["n7", "n7", "unknown"]))
    assert len(chosen) == MAX_NETWORKS
    assert (chosen[0], chosen[-1]) == ("n39", "n0")
    assert "n7" in chosen
    assert chosen == sorted(chosen, key=lambda name: -int(name[1:]))


def test_a_sprite_holds_the_images_side_by_side() -> None:
    images = np.zeros((2, 3, 4, 4), np.float32)
    images[1, 0] = 1
    data = base64.b64decode(sprite(images).removeprefix("data:image/png;base64,"))
    pixels = np.asarray(Image.open(io.BytesIO(data)))
    assert pixels.shape == (4, 8, 3)
    assert pixels[:, 4:, 0].min() == 255
    assert pixels[:, :4].max() == 0
