import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from caelab.color import luminance
from caelab.data.device_images import DeviceImages
from caelab.degrade.apply import degrade
from caelab.device import threads
from caelab.experiments.config import RunConfig
from caelab.models.image_model import ImageModel
from caelab.models.targets import ChromaTarget, LogitsTarget, RgbTarget
from caelab.networks.build import build
from caelab.networks.modules import Classifier
from caelab.networks.parser import parse
from caelab.randomness import image_keys
from caelab.training.augmentation import augment
from caelab.training.color_difference import color_difference
from caelab.training.losses import Loss
from caelab.training.step import BatchGradient

PIXELS = DeviceImages.of(
    np.random.default_rng(0).integers(0, 256, (80, 3, 8, 8), dtype=np.uint8),
    np.arange(80),
    device=torch.device("cpu"),
    labels=np.random.default_rng(1).integers(0, 4, 80),
)


def model(*, batchnorm: bool = False, logits: bool = False) -> ImageModel:
    generator = torch.Generator().manual_seed(1)
    network = build(
        parse("conv4 pool conv5 | up conv3"), size=8, generator=generator, batchnorm=batchnorm
    )
    usual = {"mean": (0.5,) * 3, "std": (0.25,) * 3}
    prediction = LogitsTarget(channels=3) if logits else RgbTarget(**usual)
    return ImageModel(network, target=prediction, **usual)


KEYS = image_keys(PIXELS.rows, 0, 0)


def gradient(subject: ImageModel, **parameters: Any) -> BatchGradient:
    config = RunConfig().replace(**({"batch_size": 70} | parameters))
    return BatchGradient(subject, PIXELS, config, torch.float32)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("loss", ["mse", "bce"])
def test_shares_add_up_to_the_whole_batchs_gradient(count: int, loss: str) -> None:
    subject = model(logits=loss == "bce")
    twin = copy.deepcopy(subject).double()
    chosen = torch.randperm(80, generator=torch.Generator().manual_seed(2))[:70]
    with threads(count):
        compute = gradient(subject, loss=loss)
        assert compute.shares == count
        terms = compute(chosen, KEYS[chosen], 0, 0)

    target = PIXELS.batch(chosen).double()
    output = twin(target.contiguous())
    expected = Loss.registry[loss]()(output, target)
    expected.backward()  # type: ignore[no-untyped-call]
    assert terms[loss].item() == pytest.approx(expected.item(), rel=1e-6)
    assert terms["mse"].item() == pytest.approx(
        ((output.sigmoid() - target).square().mean().item() if loss == "bce" else expected.item()),
        rel=1e-6,
    )
    for parameter, exact in zip(subject.parameters(), twin.parameters(), strict=True):
        assert parameter.grad is not None
        assert exact.grad is not None
        torch.testing.assert_close(parameter.grad.double(), exact.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("parameters", [{}, {"degradation": "noise0.1", "flip": True}])
def test_compiled_loops_give_the_gradient_of_pytorch(
    count: int, parameters: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    subject, chosen = model(), torch.arange(70)
    gradients = []
    for compiled in (True, False):
        if not compiled:
            monkeypatch.setattr(ImageModel, "compiled", lambda self, shape: None)
        with threads(count):
            compute = gradient(subject, **parameters)
            if compiled and compute._compiled is None:
                pytest.skip("there is no C compiler")
            assert (compute._one_call) == (compiled and not parameters)
            assert compiled or compute._compiled is None
            terms = compute(chosen, KEYS[chosen], 0, 0)
        gradients.append(
            [*(each.grad for each in subject.parameters() if each.grad is not None), terms["mse"]]
        )
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("loss", ["l1", "huber"])
def test_only_the_squared_error_is_learnt_in_one_go(loss: str) -> None:
    compute = gradient(model(), loss=loss)
    assert not compute._one_call


def test_too_few_images_to_fill_the_lanes_are_left_to_pytorch() -> None:
    subject = model()
    compute = gradient(subject, batch_size=15)
    assert compute._compiled is None


@pytest.mark.parametrize("count", [1, 3])
def test_labels_count_beside_the_loss(count: int) -> None:
    generator = torch.Generator().manual_seed(1)
    network = build(
        parse("conv4 classify4 pool conv5 | classify4 up conv3"), size=8, generator=generator
    )
    usual = {"mean": (0.5,) * 3, "std": (0.25,) * 3}
    subject = ImageModel(network, target=RgbTarget(**usual), **usual)
    twin = copy.deepcopy(subject).double()
    chosen = torch.randperm(80, generator=torch.Generator().manual_seed(2))[:70]
    with threads(count):
        compute = gradient(subject, class_loss_weight=0.25)
        terms = compute(chosen, KEYS[chosen], 0, 0)

    target = PIXELS.batch(chosen).double().contiguous()
    means: list[torch.Tensor] = []
    for part in twin.modules():
        if isinstance(part, Classifier):
            part.register_forward_hook(
                lambda module, given, _: means.append(module.linear(given[0].mean((2, 3))))
            )
    assert PIXELS.labels is not None
    error = nn.functional.mse_loss(twin(target), target)
    labels = PIXELS.labels[chosen]
    told = torch.stack(
        [-logits.flatten(1).log_softmax(1)[torch.arange(70), labels].mean() for logits in means]
    ).sum()
    (error + 0.25 * told).backward()
    assert len(means) == 2
    assert set(terms) == {"mse", "labels"}
    assert terms["labels"].item() == pytest.approx(0.25 * told.item(), rel=1e-5)
    assert terms["mse"].item() == pytest.approx(error.item(), rel=1e-6)
    for parameter, exact in zip(subject.parameters(), twin.parameters(), strict=True):
        assert parameter.grad is not None
        assert exact.grad is not None
        torch.testing.assert_close(parameter.grad.double(), exact.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("count", [1, 3])
def test_the_color_difference_counts_beside_the_loss_and_has_seen_all_pixels_after_four_steps(
    count: int,
) -> None:
    generator = torch.Generator().manual_seed(1)
    network = build(parse("conv4 conv2:none"), channels=1, size=8, generator=generator)
    prediction = ChromaTarget("ycbcr")
    subject = ImageModel(network, target=prediction, mean=(0.5,), std=(0.25,))
    twin = copy.deepcopy(subject).double()
    chosen = torch.randperm(80, generator=torch.Generator().manual_seed(2))[:70]
    parameters = list(subject.parameters())
    told, found = [], []
    with threads(count):
        compute = gradient(subject, degradation="gray", color_loss_weight=0.5)
        for step in range(4):
            told.append(compute(chosen, KEYS[chosen], 0, step))
            found.append(
                [parameter.grad.double() for parameter in parameters if parameter.grad is not None]
            )

    clean = PIXELS.batch(chosen).double().contiguous()
    output = twin(luminance(clean)).double()  # models answer in float32
    error = nn.functional.mse_loss(output, prediction.target(clean))
    difference = color_difference(prediction.image(output, luminance(clean)), clean)
    (error + 0.5 * difference).backward()
    assert all(set(terms) == {"chroma_mse", "color_difference", "mse"} for terms in told)
    differences = torch.stack([terms["color_difference"] for terms in told])
    assert differences.mean().item() == pytest.approx(0.5 * difference.item(), rel=1e-5)
    assert len(differences.unique()) == 4
    for place, exact in enumerate(twin.parameters()):
        assert exact.grad is not None
        torch.testing.assert_close(
            sum(each[place] for each in found) / 4, exact.grad, rtol=1e-3, atol=1e-5
        )


def test_the_same_threads_give_the_same_bits() -> None:
    chosen = torch.arange(64)
    drawn = []
    for _ in range(2):
        subject = model()
        with threads(2):
            compute = gradient(subject)
            compute(chosen, KEYS[chosen], 0, 0)
        drawn.append([parameter.grad for parameter in subject.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*drawn, strict=True))  # type: ignore[arg-type]


def test_statistics_of_the_whole_batch_are_not_shared_out() -> None:
    with threads(2):
        compute = gradient(model(batchnorm=True))
        assert compute.shares == 1


def test_small_batches_are_not_shared_out() -> None:
    with threads(4):
        for batch, shares in [(1, 1), (31, 1), (32, 2), (63, 3), (64, 4), (1000, 4)]:
            compute = gradient(model(), batch_size=batch)
            assert compute.shares == shares


def test_what_fails_in_a_thread_fails_here() -> None:
    class Broken(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            raise ArithmeticError("broken")

    subject = ImageModel(
        Broken(),
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
        target=RgbTarget(mean=(0.0,) * 3, std=(1.0,) * 3),
    )
    with threads(2), pytest.raises(ArithmeticError, match="broken"):
        gradient(subject)(torch.arange(64), KEYS[:64], 0, 0)


def test_the_callers_threads_are_left_as_they_were() -> None:
    before = torch.get_num_threads()
    with threads(3):
        compute = gradient(model())
        compute(torch.arange(64), KEYS[:64], 0, 0)
        assert torch.get_num_threads() == 3
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("count", [1, 2])
def test_chance_does_not_depend_on_how_the_batch_is_shared_out(count: int) -> None:
    config = RunConfig().replace(degradation="noise0.2", flip=True, translate=1)
    chosen = torch.arange(64)
    subject = model()
    with threads(count):
        compute = gradient(subject, degradation="noise0.2", flip=True, translate=1)
        terms = compute(chosen, KEYS[chosen], 0, 0)
    clean = augment(PIXELS.batch(chosen), KEYS[chosen], config.augmentation)
    given = degrade(clean, config.degradation, KEYS[chosen])
    assert terms["mse"].item() == pytest.approx(
        nn.functional.mse_loss(subject(given), clean).item(), rel=1e-5
    )
    assert not torch.equal(given, clean)


def test_dropout_is_the_same_for_the_same_moment_and_another_for_another() -> None:
    network = build(
        parse("conv8 dropout0.5 conv3"), size=8, generator=torch.Generator().manual_seed(1)
    )
    usual = {"mean": (0.5,) * 3, "std": (0.25,) * 3}
    subject = ImageModel(network, target=RgbTarget(**usual), **usual).train()
    chosen = torch.arange(64)
    with threads(2):
        compute = gradient(subject)
        first, again, later = (
            compute(chosen, KEYS[chosen], *moment)["mse"] for moment in ((1, 2), (1, 2), (1, 3))
        )
    assert torch.equal(first, again)
    assert not torch.equal(first, later)
