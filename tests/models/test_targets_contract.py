"""What every registered prediction target keeps."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from caelab.color import SPACES, luminance
from caelab.data.device_images import DeviceImages
from caelab.errors import InputError
from caelab.experiments.config import RunConfig
from caelab.models.card import ModelCard, read_card
from caelab.models.image_model import ImageModel
from caelab.models.targets import PredictionTarget
from caelab.models.tta import TTA
from caelab.registry import register

CLEAN = torch.rand(3, 3, 8, 6, generator=torch.Generator().manual_seed(0))
OPTIONS = type(
    "Options", (), {"color_space": "lab", "bins": 12, "rebalance": 0.5, "temperature": 0.4}
)()
CARD = ModelCard(
    network="conv3", degradation="gray", target="rgb", color_space="lab", channels=3, size=8,
    mean=(0.5,), std=(0.25,), output_mean=(0.4, 0.5, 0.6), output_std=(0.2, 0.3, 0.1), data="none",
)  # fmt: skip

KINDS = pytest.mark.parametrize("name", PredictionTarget.registry)


def made(name: str) -> PredictionTarget:
    kind = PredictionTarget.registry[name]
    pixels = (CLEAN * 255).byte().numpy()
    bins = kind.measure(OPTIONS, DeviceImages.of(pixels, np.arange(3), device=torch.device("cpu")))
    card = replace(CARD, target=name, bins=bins)
    assert read_card(json.dumps(card.to_dict()), Path("m")) == card
    return kind.from_card(card)


def raw_output(target: PredictionTarget) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(3, target.channels, 8, 6, generator=generator)


@KINDS
def test_the_channels_are_those_that_the_options_say(name: str) -> None:
    assert made(name).channels == PredictionTarget.registry[name].output_channels(OPTIONS, 3)


@KINDS
def test_the_output_and_what_it_is_compared_with_fit(name: str) -> None:
    target = made(name)
    output, wanted = target.output(raw_output(target)), target.target(CLEAN)
    assert wanted.dtype == output.dtype == torch.float32
    assert wanted.shape[0::2] == output.shape[0::2]
    assert "classes" in target.losses or wanted.shape == output.shape
    assert set(target.losses) <= {"values", "logits", "classes"}
    for loss in target.losses:
        assert loss in PredictionTarget.registry[target.name_with(loss)].losses


@KINDS
def test_answers_are_images_or_chroma_and_images_keep_the_luminance_they_need(name: str) -> None:
    target = made(name)
    output = target.output(raw_output(target))
    answer, image = target.answer(output), target.image(output, luminance(CLEAN))
    assert image.shape == CLEAN.shape
    assert 0 <= float(image.min()) <= float(image.max()) <= 1
    assert target.needs_luminance == (target.color_space is not None)
    if target.color_space is None:
        torch.testing.assert_close(answer, image)
    else:
        assert target.color_space in SPACES
        assert answer.shape == (3, 2, 8, 6)
        torch.testing.assert_close(luminance(image), luminance(CLEAN), rtol=0, atol=1e-5)


@KINDS
def test_the_affine_map_is_what_output_does(name: str) -> None:
    target = made(name)
    raw = raw_output(target)
    scale, shift = target.affine or (torch.ones(target.channels), torch.zeros(target.channels))
    expected = raw * scale.view(1, -1, 1, 1) + shift.view(1, -1, 1, 1)
    torch.testing.assert_close(target.output(raw), expected)


@KINDS
def test_it_is_deterministic_has_no_weights_and_a_gradient(name: str) -> None:
    target = made(name)
    assert not target.state_dict()
    raw = raw_output(target).requires_grad_()
    image = target.image(target.output(raw), luminance(CLEAN))
    assert torch.equal(image, target.image(target.output(raw), luminance(CLEAN)))
    (slope,) = torch.autograd.grad(image.sum(), raw)
    assert slope.isfinite().all()
    assert PredictionTarget.registry[name].summary[:1].islower()


def test_a_configurations_target_is_enough_for_the_options() -> None:
    options = RunConfig().target
    for kind in PredictionTarget.registry.values():
        assert kind.output_channels(options, 3) > 0


def test_an_unknown_target_and_a_name_that_is_taken_are_refused() -> None:
    with pytest.raises(InputError, match=r"'rbg' is unknown: it is none of rgb|'rbg' is unknown"):
        ImageModel.from_card(torch.nn.Identity(), replace(CARD, target="rbg"))
    with pytest.raises(InputError, match="'rgb' is taken"):
        register(type("Mine", (PredictionTarget,), {"name": "rgb"}))


def test_a_card_with_the_names_of_before_is_read() -> None:
    old = {**CARD.to_dict(), "impair": "gray", "predict": "rgb", "space": "lab",
           "average_flips": True, "average_shift": 2, "average_enlarged": False}  # fmt: skip
    for name in ("degradation", "target", "color_space", "tta"):
        del old[name]
    assert read_card(json.dumps(old), Path("m")) == replace(CARD, tta=TTA(flip=True, shift=2))
