"""What training does on a device that is not the host's.

PyTorch's meta device computes shapes and holds no values: what reads one on the host raises, and so
does what mixes devices. A step that runs there leaves a GPU nothing to wait for.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim.swa_utils import AveragedModel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from caelab.data.device_images import DeviceImages
from caelab.data.image_set import ImageSet, Source
from caelab.data.split import Split
from caelab.experiments.build_run import make_card, make_state
from caelab.experiments.config import RunConfig
from caelab.experiments.setup import describe_run, prepare_data
from caelab.training.fit import TrainingState, fit, running_mean
from caelab.training.losses import Loss
from caelab.training.optimizers import make_optimizer
from caelab.training.step import BatchGradient, Step, Terms

STEPS, BATCH = 4, 8
COUNT = STEPS * BATCH
META = torch.device("meta")
UNET = (
    "unshuffle2 conv8:gelu [pool conv8:gelu (norm conv8:gelu conv8:none) context dropout0.1 up"
    " conv8:gelu] conv8 shuffle2"
)


def image_set() -> tuple[ImageSet, Split]:
    pixels = np.random.default_rng(0).integers(0, 256, (COUNT, 3, 16, 16), dtype=np.uint8)
    source = Source(name="noise", where="a test", note="", fingerprint="0")
    images = ImageSet(
        images=pixels,
        labels=np.arange(COUNT) % 10,
        classes=tuple("abcdefghij"),
        source=source,
        part=None,
        official_test=None,
    )
    every = np.arange(COUNT)
    return images, Split(train=every, validation=every, test=every)


CASES: dict[str, dict[str, Any]] = {
    "the reference network": {"network": "reference"},
    "a running mean, a clipped gradient, weight decay": {
        "network": "reference",
        "ema_decay": 0.99,
        "grad_clip": 1.0,
        "weight_decay": 0.1,
    },
    "AdamW, batch normalization": {"network": "reference", "optimizer": "adamw", "batchnorm": True},
    "noise and a mask": {"network": "residual", "degradation": "noise0.1+mask0.25"},
    "an image that is blurred, reduced and enlarged": {
        "network": "reference",
        "degradation": "blur1.5+downscale2",
    },
    "augmentation, dropout, chroma": {
        "network": UNET,
        "degradation": "gray",
        "target": "chroma",
        "flip": True,
        "translate": 2,
        "scale_jitter": 0.2,
    },
    "chroma in Lab, Huber's loss": {
        "network": UNET,
        "degradation": "gray",
        "target": "chroma",
        "color_space": "lab",
        "loss": "huber",
    },
    "chroma in OkLab": {
        "network": UNET,
        "degradation": "gray",
        "target": "chroma",
        "color_space": "oklab",
    },
    "bins": {
        "network": UNET,
        "degradation": "gray",
        "target": "bins",
        "color_space": "lab",
        "loss": "cross_entropy",
        "bins": 16,
    },
    "labels": {
        "network": UNET.replace("context", "context classify10"),
        "degradation": "gray",
        "target": "chroma",
    },
    "logits": {"network": "reference", "loss": "bce"},
}


def begin(
    options: dict[str, Any], device: torch.device
) -> tuple[TrainingState, DeviceImages, RunConfig]:
    """Return the state before the first step, the images and the configuration, on the device."""
    config = RunConfig().replace(
        **{"size": 16, "batch_size": BATCH, "epochs": 2, "learning_rate": 0.01, **options}
    )
    description = describe_run(config)
    images, split = image_set()
    train = prepare_data(images, split, torch.device("cpu")).train
    card = make_card(config, description, train, images.source.name)
    model = make_state(config, description, card, train).model.to(device)
    averaged = (
        AveragedModel(model, multi_avg_fn=running_mean(config.ema_decay))
        if config.ema_decay
        else None
    )
    optimizer = make_optimizer(config.optimizer, model.network)
    state = TrainingState(model=model, optimizer=optimizer, averaged=averaged)
    there = DeviceImages.of(images.images, split.train, device=device, labels=images.labels)
    return state, there, config


class ReadLoss(Loss):
    """The squared error, whose value the host reads."""

    name = "read"

    def __call__(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        mse = (output - target).square().mean()
        assert float(mse.detach()) >= 0
        return mse


def test_a_step_that_reads_a_number_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("caelab.training.step.make_loss", lambda config: ReadLoss())
    state, there, config = begin({"network": "reference"}, META)
    with pytest.raises(RuntimeError, match="meta tensors"):
        next(fit(state, there, config, torch.float32))


@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_a_step_asks_the_device_for_no_number(options: dict[str, Any]) -> None:
    state, there, config = begin(options, META)
    steps = fit(state, there, config, torch.float32)
    for _ in range(STEPS - 1):  # after the last of an epoch the loss is looked at
        assert next(steps) is None

    assert state.sums
    assert all(total.device == META for total in state.sums.values())
    assert all(parameter.device == META for parameter in state.model.parameters())


class NothingOfTheHost(TorchDispatchMode):
    """Raises where an operation is given a tensor of the host, or makes one: none may be in a
    recorded step."""

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        answer = func(*args, **(kwargs or {}))
        for tensor in tree_leaves((args, kwargs, answer)):
            if isinstance(tensor, torch.Tensor) and tensor.device != META:
                raise AssertionError(f"{func} meets a tensor on {tensor.device}")
        return answer


def watched(function: Callable[[], Terms]) -> Callable[[], Terms]:
    with NothingOfTheHost():
        told = function()
    return lambda: told


@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_a_step_that_is_recorded_is_the_devices_alone(options: dict[str, Any]) -> None:
    state, there, config = begin(options, META)
    state.model.train()
    gradient = BatchGradient(state.model, there, config, torch.float32)
    step = Step(
        gradient, state.optimizer, grad_clip=config.optimizer.grad_clip, threads=1, record=watched
    )
    chosen = torch.arange(BATCH, device=META)
    for number in range(24):
        step(chosen, chosen, 0, number)
    recorded = "adamw" not in options.values() and "dropout" not in options["network"]
    assert (step._replay is not None) == recorded


@pytest.mark.gpu
@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_a_gpu_trains_as_the_cpu_does(options: dict[str, Any]) -> None:
    terms = []
    for device in ("cpu", "cuda"):
        state, images, config = begin(options, torch.device(device))
        epochs = [
            epoch.terms for epoch in fit(state, images, config, torch.float32) if epoch is not None
        ]
        terms.append(epochs[-1])
    assert terms[0].keys() == terms[1].keys()
    for name, value in terms[0].items():
        assert terms[1][name] == pytest.approx(value, rel=0.02), name
