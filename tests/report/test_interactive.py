import base64
import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from caelab.experiments.config import RunConfig
from caelab.experiments.run import run as train
from caelab.models.inference import Inference
from caelab.report import interactive
from caelab.report.interactive import (
    MAX_CODES,
    MAX_NETWORKS,
    choose_networks,
    interactive_data,
    sprite,
)
from caelab.report.run_images import RunImages, choose_images
from caelab.report.run_reader import read_run


def unpacked(uri: str) -> np.ndarray:
    """The pixels of a sprite."""
    data = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(data)))


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
    pixels = unpacked(sprite(images))
    assert pixels.shape == (4, 8, 3)
    assert pixels[:, 4:, 0].min() == 255
    assert pixels[:, :4].max() == 0


def test_a_code_is_decoded_whole_and_without_each_channel(small_study: Any) -> None:
    run, images = read_run(small_study.run("base")), RunImages()
    data, problems = interactive_data({"other": run, "base": run}, {}, {}, images)
    (code,) = data["codes"]
    assert (problems, code["name"]) == ([], "base")
    positions = choose_images(run, MAX_CODES)
    inference = Inference(images.model(run))
    pixels = images.part(run).at(positions)
    for index, image in enumerate(pixels.batch(slice(None))):
        whole = inference.encode(image[None])
        # The network is `conv4 pool conv2 | up conv3`: two channels.
        for channel, found in enumerate([None, 0, 1]):
            kept = whole.clone()
            if found is not None:
                kept[:, found] = 0
            decoded = inference.decode(kept)[0]
            error = float(((decoded - image) ** 2).mean())
            assert code["mse"][index][channel] == pytest.approx(error, rel=1e-4)
            shown = unpacked(code["decoded"][index])[:, channel * 16 : (channel + 1) * 16]
            np.testing.assert_allclose(shown, decoded.permute(1, 2, 0) * 255, atol=0.51)
    assert unpacked(code["maps"]).shape == (8, MAX_CODES * 2 * 8, 3)


def test_what_is_no_bottleneck_has_no_code_to_show(small_study: Any) -> None:
    run = read_run(small_study.run("skip"))
    data, problems = interactive_data({"skip": run}, {}, {}, RunImages())
    assert (data["codes"], problems) == ([], [])
    assert [task["title"] for task in data["tasks"]] == ["reconstruction"]


def test_images_that_are_gone_are_named(small_study: Any) -> None:
    run = read_run(small_study.run("base"))
    data, problems = interactive_data({"base": run}, {}, {}, RunImages("nowhere"))
    assert (data["tasks"], data["codes"]) == ([], [])
    assert {title for title, _ in problems} == {"reconstruction", "codes"}
    assert all("nowhere" in problem for _, problem in problems)


def test_all_images_together_keep_to_the_limits(
    small_study: Any, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {
        "network": "conv4 pool conv4 up conv3", "data": str(pictures), "size": 16, "epochs": 1,
        "degradation": "gray",
    }  # fmt: skip
    gray = read_run(train(RunConfig().replace(**options), runs=tmp_path).path)
    base = read_run(small_study.run("base"))
    # Room for five images in five sprites: an output and the truth of each task, and gray inputs;
    # and for two codes with three outputs each.
    monkeypatch.setattr(interactive, "MAX_BYTES", 5 * 5 * 3 * 16 * 16)
    monkeypatch.setattr(interactive, "MAX_CODE_BYTES", 2 * 3 * 3 * 16 * 16)
    data, problems = interactive_data({"base": base}, {"gray": gray}, {}, RunImages())
    assert problems == []
    sprites = [
        uri
        for task in data["tasks"]
        for uri in (task["truth"], task["given"], *(each["sprite"] for each in task["networks"]))
        if uri is not None
    ]
    assert [unpacked(uri).size for uri in sprites] == [5 * 3 * 16 * 16] * 5
    (code,) = data["codes"]
    assert [unpacked(uri).size for uri in code["decoded"]] == [3 * 3 * 16 * 16] * 2
