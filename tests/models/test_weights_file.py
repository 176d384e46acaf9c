import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from caelab.errors import InputError
from caelab.models.card import ModelCard
from caelab.models.color_bins import ColorBins
from caelab.models.image_model import ImageModel
from caelab.models.tta import TTA
from caelab.models.weights_file import FORMAT, load_model, save_model
from caelab.networks.build import build
from caelab.networks.parser import parse

CPU = torch.device("cpu")
CARD = ModelCard(
    network="conv4 pool conv2 | up conv3",
    degradation="gray+noise0.1",
    target="rgb",
    color_space="ycbcr",
    channels=3,
    size=16,
    mean=(0.45,),
    std=(0.2,),
    output_mean=(0.5, 0.4, 0.3),
    output_std=(0.2, 0.3, 0.25),
    data="photos",
    tta=TTA(flip=True, shift=2, scale=True),
)


@pytest.fixture
def model() -> ImageModel:
    return ImageModel.from_card(
        build(parse(CARD.network), channels=1, generator=torch.Generator().manual_seed(3)), CARD
    )


def rewrite(
    file: Path, metadata: dict[str, str], tensors: dict[str, torch.Tensor] | None = None
) -> None:
    save_file(tensors or load_file(file), file, metadata=metadata)


def test_a_model_comes_back_whole(tmp_path: Path, model: ImageModel) -> None:
    file = tmp_path / "weights.safetensors"
    save_model(file, model, CARD)
    loaded, card = load_model(file, CPU)
    assert card == CARD
    images = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(loaded.restore(images), model.restore(images), rtol=0, atol=0)
    assert not loaded.training


@pytest.mark.parametrize("content", [None, b"", b"no weights at all", b"\xff" * 100])
def test_what_is_no_safetensors_file_is_said(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "weights.safetensors"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError, match="cannot read weights from"):
        load_model(file, CPU)


def test_a_truncated_file_is_said(tmp_path: Path, model: ImageModel) -> None:
    file = tmp_path / "weights.safetensors"
    save_model(file, model, CARD)
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(InputError, match="cannot read weights from"):
        load_model(file, CPU)


def test_anybody_elses_weights_are_said(tmp_path: Path, model: ImageModel) -> None:
    file = tmp_path / "weights.safetensors"
    save_model(file, model, CARD)
    rewrite(file, {"format": "pt"})
    with pytest.raises(InputError, match="holds no caelab model"):
        load_model(file, CPU)
    rewrite(file, {"format": FORMAT, "card": json.dumps({"network": "conv3"})})
    with pytest.raises(InputError, match="metadata is damaged"):
        load_model(file, CPU)


def test_weights_of_another_network_and_nan_are_said(tmp_path: Path, model: ImageModel) -> None:
    file = tmp_path / "weights.safetensors"
    save_model(file, model, CARD)
    card = CARD.to_dict()
    rewrite(
        file,
        {"format": FORMAT, "card": json.dumps({**card, "network": "conv5 pool conv2 | up conv3"})},
    )
    with pytest.raises(InputError, match="has 199 weights, but the file has"):
        load_model(file, CPU)
    tensors = load_file(file)
    next(iter(tensors.values())).view(-1)[0] = torch.nan
    rewrite(file, {"format": FORMAT, "card": json.dumps(card)}, tensors)
    with pytest.raises(InputError, match="not finite"):
        load_model(file, CPU)


BINS_CARD = replace(
    CARD,
    network="conv4 pool conv2 | up conv8",
    degradation="gray",
    target="bins",
    color_space="lab",
    bins=ColorBins(
        cells=tuple((row, column) for row in range(-1, 1) for column in range(-2, 2)),
        frequencies=(0.1, 0.2, 0.1, 0.1, 0.1, 0.2, 0.1, 0.1),
        rebalance=0.25,
        temperature=0.5,
    ),
)


def test_a_model_of_bins_comes_back_with_them(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    network = build(
        parse(BINS_CARD.network), channels=1, generator=torch.Generator().manual_seed(3)
    )
    model = ImageModel.from_card(network, BINS_CARD).eval()
    save_model(file, model, BINS_CARD)
    loaded, card = load_model(file, CPU)
    assert card == BINS_CARD
    images = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(loaded.restore(images), model.restore(images), rtol=0, atol=0)
    torch.testing.assert_close(
        loaded.variants(images, 2), model.variants(images, 2), rtol=0, atol=0
    )


@pytest.mark.parametrize(
    "bins",
    [
        None,
        {},
        {"cells": [[0]], "frequencies": [1.0], "rebalance": 0.5, "temperature": 0.4},
        [1, 2],
        {"cells": [[0, 0]], "frequencies": [0.5, 0.5], "rebalance": 0.5, "temperature": 0.4},
    ],
)
def test_damaged_bins_are_said(tmp_path: Path, bins: object) -> None:
    file = tmp_path / "weights.safetensors"
    network = build(
        parse(BINS_CARD.network), channels=1, generator=torch.Generator().manual_seed(3)
    )
    save_model(file, ImageModel.from_card(network, BINS_CARD), BINS_CARD)
    rewrite(file, {"format": FORMAT, "card": json.dumps({**BINS_CARD.to_dict(), "bins": bins})})
    with pytest.raises(InputError, match="metadata is damaged"):
        load_model(file, CPU)


def test_weights_of_before_there_were_bins_are_read(tmp_path: Path, model: ImageModel) -> None:
    file = tmp_path / "weights.safetensors"
    save_model(file, model, CARD)
    told = CARD.to_dict()
    del told["bins"]
    rewrite(file, {"format": FORMAT, "card": json.dumps(told)})
    assert load_model(file, CPU)[1] == CARD


def test_equal_models_have_equal_files(tmp_path: Path, model: ImageModel) -> None:
    files = [tmp_path / f"{number}.safetensors" for number in range(8)]
    for file in files:
        save_model(file, model, CARD)
    assert len({file.read_bytes() for file in files}) == 1
    assert (8 + int.from_bytes(files[0].read_bytes()[:8], "little")) % 8 == 0


@pytest.mark.parametrize(
    "changed",
    [
        {"size": 10**9},
        {"size": -5},
        {"channels": 4},
        {"std": [0.0]},
        {"mean": [float("nan")]},
        {"mean": [0.1] * 5000},
        {"network": 5},
        {"tta": [1]},
        {"output_std": [0.1]},
        {"network": "conv30000 conv30000k1 conv3"},
    ],
)
def test_a_card_is_not_believed(
    tmp_path: Path, model: ImageModel, changed: dict[str, object]
) -> None:
    file = tmp_path / "weights.safetensors"
    save_model(file, model, CARD)
    rewrite(file, {"format": FORMAT, "card": json.dumps({**CARD.to_dict(), **changed})})
    with pytest.raises(InputError, match=r"weights\.safetensors"):
        load_model(file, CPU)
