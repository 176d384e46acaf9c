"""A step that is recorded and replayed, as a GPU does it.

There is no GPU where most tests run. What its graph of a step needs is tested without one: that all
recorded operations are the same for every step, by recording them on the CPU with PyTorch's own
tracer and replaying the trace.
"""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from caelab.data.device_images import DeviceImages
from caelab.device import threads
from caelab.experiments.config import RunConfig
from caelab.models.image_model import ImageModel
from caelab.models.targets import RgbTarget
from caelab.networks.build import build
from caelab.networks.parser import parse
from caelab.randomness import image_keys
from caelab.training.optimizers import make_optimizer
from caelab.training.step import BatchGradient, Step, Terms

COUNT, BATCH, STEPS = 64, 20, 60
FIRST = 19
"""Steps until covariances are averages over as many steps as they will be."""

PIXELS = DeviceImages.of(
    np.random.default_rng(0).integers(0, 256, (COUNT, 3, 8, 8), dtype=np.uint8),
    np.arange(COUNT),
    device=torch.device("cpu"),
)
USUAL = {"mean": (0.5,) * 3, "std": (0.25,) * 3}


@pytest.fixture(autouse=True)
def by_pytorchs_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled loops are the CPU's, and no tracer sees them."""
    monkeypatch.setattr(ImageModel, "compiled", lambda self, shape: None)


class Run:
    """Some steps of a small network, one after the other; ``record`` as for ``Step``."""

    def __init__(
        self,
        record: Callable[["Run"], Any] | None = None,
        *,
        network: str = "conv4 pool conv5 | up conv3",
        grad_clip: float | None = None,
        device: str = "cpu",
        **parameters: Any,
    ) -> None:
        built = build(parse(network), size=8, generator=torch.Generator().manual_seed(1))
        self.model = ImageModel(built, target=RgbTarget(**USUAL), **USUAL).to(device)
        config = RunConfig().replace(
            batch_size=BATCH, learning_rate=0.01, weight_decay=0.1, **parameters
        )
        self.optimizer = make_optimizer(config.optimizer, built)
        self.images = DeviceImages(PIXELS.flat.to(device), PIXELS.rows, PIXELS.shape)
        self.recorded = self.replayed = 0
        self.step = Step(
            BatchGradient(self.model, self.images, config, torch.float32),
            self.optimizer,
            grad_clip=grad_clip,
            threads=1,
            record=record(self) if record else None,
        )
        self.taken = 0

    def take(self, count: int = 1) -> list[float]:
        """Take steps, whose batches, noise and learning rates differ; return their errors."""
        errors = []
        for _ in range(count):
            generator = torch.Generator().manual_seed(self.taken)
            chosen = torch.randperm(COUNT, generator=generator)[:BATCH]
            keys = image_keys(PIXELS.rows[chosen.numpy()], 0, self.taken)
            self.optimizer.param_groups[0]["lr"] = 0.01 / (1 + 0.1 * self.taken)
            device = self.images.device
            terms = self.step(chosen.to(device), keys.to(device), 0, self.taken)
            errors.append(float(terms["mse"]))
            self.taken += 1
        return errors

    @property
    def tensors(self) -> list[torch.Tensor]:
        """Everything that lasts from step to step."""
        states = self.optimizer.state.values()
        lists = [
            value if isinstance(value, list) else [value]
            for state in states
            for value in state.values()
        ]
        kept = [each for some in lists for each in some if isinstance(each, torch.Tensor)]
        return [*self.model.parameters(), *self.model.buffers(), *kept]


def tracing(run: Run) -> Callable[[Callable[[], Terms]], Callable[[], Terms]]:
    """Return what records as a GPU does: operations are taken down, not done, and replayed on the
    same tensors."""

    def record(function: Callable[[], Terms]) -> Callable[[], Terms]:
        run.recorded += 1
        before = [tensor.detach().clone() for tensor in run.tensors]
        trace = make_fx(lambda _: function())(torch.empty(0))
        with torch.no_grad():
            for tensor, value in zip(run.tensors, before, strict=True):
                tensor.copy_(value)

        def replay() -> Terms:
            run.replayed += 1
            with torch.no_grad():  # the way back is among the operations
                terms: Terms = trace(torch.empty(0))
            return terms

        return replay

    return record


def failing(run: Run) -> Callable[[Callable[[], Terms]], Callable[[], Terms]]:
    """Return what cannot record, and has begun to."""

    def record(function: Callable[[], Terms]) -> Callable[[], Terms]:
        run.recorded += 1
        raise RuntimeError("operation not permitted when stream is capturing")

    return record


CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "clipped": {"grad_clip": 0.01},
    "noise, mask, blur": {"degradation": "blur1.5+noise0.1+mask0.25"},
    "reduced": {"degradation": "downscale2"},
    "residual, norm": {"network": "conv4 (norm conv4:gelu conv4:none) conv3"},
}


@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_what_is_recorded_once_does_every_steady_step(options: dict[str, Any]) -> None:
    with threads(1):
        plain, replayed = Run(**options), Run(tracing, **options)
        expected, told = plain.take(STEPS), replayed.take(STEPS)
    assert replayed.recorded == 1
    assert replayed.replayed == STEPS - FIRST - len(range(21, STEPS + 1, 10))
    assert told == pytest.approx(expected, rel=1e-4)
    assert expected[-1] < 0.9 * expected[0]
    for one, other in zip(plain.model.parameters(), replayed.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": "adamw"},
        {"network": "conv4 dropout0.5 conv3"},
        {"degradation": "noise0.1+jpeg50"},
        {"color_loss_weight": 0.1},
    ],
)
def test_what_comes_from_the_host_at_every_step_is_not_recorded(options: dict[str, Any]) -> None:
    run = Run(tracing, **options)
    run.take(FIRST + 5)
    assert run.recorded == 0


def test_a_resumed_run_records_anew_and_goes_on_alike() -> None:
    with threads(1):
        whole, cut = Run(tracing), Run(tracing)
        expected = whole.take(STEPS)
        cut.take(33)
        resumed = Run(tracing)
        resumed.model.load_state_dict(cut.model.state_dict())
        resumed.optimizer.load_state_dict(copy.deepcopy(cut.optimizer.state_dict()))
        resumed.taken = cut.taken
        assert resumed.take(STEPS - 33) == pytest.approx(expected[33:], rel=1e-5)
    assert resumed.recorded == 1
    assert resumed.replayed > 0


def test_what_cannot_be_recorded_is_said_once_and_done_as_ever(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with threads(1):
        plain, run = Run(), Run(failing)
        assert run.take(STEPS) == pytest.approx(plain.take(STEPS), rel=1e-4)
    assert run.recorded == 1
    assert caplog.text.count("not recorded as a CUDA graph") == 1


def test_on_a_cpu_nothing_is_recorded() -> None:
    assert Run().step._record is None


@pytest.mark.gpu
@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_a_cuda_graph_does_what_its_operations_do(
    options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    plain, replayed = Run(failing, device="cuda", **options), Run(device="cuda", **options)
    expected = plain.take(STEPS)
    caplog.clear()
    assert replayed.take(STEPS) == pytest.approx(expected, rel=1e-3)
    assert "not recorded" not in caplog.text
    assert replayed.step._replay is not None
