import copy
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from caelab.data.device_images import DeviceImages
from caelab.experiments.config import RunConfig
from caelab.models.image_model import ImageModel
from caelab.models.targets import LogitsTarget, RgbTarget
from caelab.randomness import generator_for
from caelab.training.fit import TrainedEpoch, TrainingDiverged, TrainingState, fit, running_mean
from caelab.training.losses import MeanSquaredError
from caelab.training.optimizers import OptimizerKind, make_optimizer

IMAGES = np.random.default_rng(0).integers(0, 256, (70, 3, 8, 8), dtype=np.uint8)
PIXELS = DeviceImages.of(IMAGES, np.arange(70), device=torch.device("cpu"))


def make_state(optimizer: str = "adam", *, logits: bool = False) -> TrainingState:
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 3, 3, padding=1)
    )
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    usual = {"mean": (0.5,) * 3, "std": (0.25,) * 3}
    prediction = LogitsTarget(channels=3) if logits else RgbTarget(**usual)
    model = ImageModel(network, target=prediction, **usual)
    return TrainingState(
        model=model,
        optimizer=make_optimizer(config(optimizer=optimizer).optimizer, network),
    )


def config(**changes: Any) -> RunConfig:
    usual = {"epochs": 3, "batch_size": 16, "learning_rate": 0.01, "warmup": 0.1, "seed": 5}
    return RunConfig().replace(**(usual | changes))


def train(
    state: TrainingState, precision: torch.dtype = torch.float32, **changes: Any
) -> Iterator[TrainedEpoch | None]:
    return fit(state, PIXELS, config(**changes), precision)


def weights(state: TrainingState) -> dict[str, torch.Tensor]:
    return state.model.state_dict()


def same(one: TrainingState, other: TrainingState) -> bool:
    return all(torch.equal(value, weights(other)[name]) for name, value in weights(one).items())


def test_one_step_agrees_with_a_float64_twin_written_by_hand() -> None:
    state = make_state()
    twin = copy.deepcopy(state.model).double()
    steps = 70 // 16
    next(iter(train(state, grad_clip=0.01)))

    chosen = torch.randperm(70, generator=generator_for(5, "batches", 0))[:16]
    target = torch.from_numpy(IMAGES[chosen.numpy()]).double() / 255
    output = twin.network.train()((target - 0.5) / 0.25) * 0.25 + 0.5
    (output - target).square().mean().backward()
    parameters = list(twin.parameters())
    gradients = [parameter.grad for parameter in parameters]
    norm = torch.sqrt(sum(gradient.square().sum() for gradient in gradients))  # type: ignore[union-attr,arg-type]
    assert norm > 0.01
    rate = 0.01 / round(0.1 * 3 * steps)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        assert gradient is not None
        clipped = gradient * 0.01 / (norm + 1e-6)
        expected = parameter.detach() - rate * clipped / (clipped.abs() + 1e-8)  # Adam's first step
        name = next(name for name, other in twin.named_parameters() if other is parameter)
        trained = dict(state.model.named_parameters())[name].detach().double()
        # Where a gradient is zero but for rounding (a bias before batch normalization), its sign is
        # arbitrary.
        sure = clipped.abs() > 1e-6
        torch.testing.assert_close(trained[sure], expected[sure], rtol=0, atol=1e-6)


def test_yields_every_step_and_every_epoch() -> None:
    yielded = list(train(make_state()))
    assert [epoch is None for epoch in yielded] == ([True] * 4 + [False]) * 3
    epochs = [epoch for epoch in yielded if epoch is not None]
    assert [epoch.epoch for epoch in epochs] == [1, 2, 3]
    assert epochs[2].terms["mse"] < epochs[0].terms["mse"]
    assert epochs[2].learning_rate == pytest.approx(0.01 / 11)


def test_the_epochs_term_is_the_mean_over_its_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    class Spy(MeanSquaredError):
        def __call__(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            loss = super().__call__(output, target)
            seen.append(loss.item())
            return loss

    monkeypatch.setattr("caelab.training.step.make_loss", lambda config: Spy())
    [*_, epoch] = train(make_state(), epochs=1)
    assert isinstance(epoch, TrainedEpoch)
    assert epoch.terms["mse"] == pytest.approx(np.mean(seen), rel=1e-6)


def test_every_loss_reports_the_mse_of_images() -> None:
    epochs = [epoch for epoch in train(make_state(logits=True), loss="bce") if epoch]
    assert all(set(epoch.terms) == {"bce", "mse"} for epoch in epochs)
    assert 0 < epochs[-1].terms["mse"] < 0.2


@pytest.mark.parametrize("optimizer", list(OptimizerKind.registry))
@pytest.mark.parametrize("stop", [1, 4, 5, 7, 13])
def test_a_state_saved_anywhere_goes_on_to_the_same_bits(optimizer: str, stop: int) -> None:
    whole = make_state(optimizer)
    first = [epoch for epoch in train(whole) if epoch]

    cut = make_state(optimizer)
    loop = train(cut)
    before = [epoch for epoch in (next(loop) for _ in range(stop)) if epoch]
    loop.close()
    file = io.BytesIO()
    torch.save(cut.state_dict(), file)
    file.seek(0)
    resumed = make_state(optimizer)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    after = [epoch for epoch in train(resumed) if epoch]

    assert same(whole, resumed)
    assert [epoch.terms for epoch in before + after] == [epoch.terms for epoch in first]


def test_the_seed_of_batches_changes_the_result() -> None:
    one, other = make_state(), make_state()
    list(train(one, seed=1))
    list(train(other, seed=2))
    assert not same(one, other)


def test_a_loss_that_is_not_finite_stops_with_advice() -> None:
    with pytest.raises(
        TrainingDiverged,
        match=r"not a finite number in epoch 1, after step 4\. The learning rate 1e\+30",
    ):
        list(train(make_state(), learning_rate=1e30))


def test_bfloat16_learns_too() -> None:
    epochs = [epoch for epoch in train(make_state(), precision=torch.bfloat16) if epoch]
    exact = [epoch for epoch in train(make_state()) if epoch]
    assert epochs[-1].terms["mse"] == pytest.approx(exact[-1].terms["mse"], rel=0.02)


def test_averaged_weights_are_the_running_mean_and_survive_a_restart() -> None:
    def begin() -> TrainingState:
        state = make_state()
        state.averaged = AveragedModel(state.model, multi_avg_fn=running_mean(0.9))
        return state

    whole, expected = begin(), None
    for step, _ in enumerate(train(whole, epochs=1)):
        now = whole.model.network[0].weight.detach().double()  # type: ignore[index,union-attr]
        expected = (
            now.clone() if expected is None else torch.lerp(now, expected, (1 + step) / (10 + step))
        )
        if whole.step == 70 // 16:
            break
    kept = whole.evaluated.network[0].weight  # type: ignore[index]
    torch.testing.assert_close(kept.double(), expected, rtol=1e-5, atol=1e-7)

    cut, resumed = begin(), begin()
    steps = train(cut, epochs=1)
    next(steps), next(steps)
    resumed.load_state_dict(copy.deepcopy(cut.state_dict()))
    for _ in train(resumed, epochs=1):
        if resumed.step == 70 // 16:
            break
    assert torch.equal(resumed.evaluated.network[0].weight, kept)  # type: ignore[index]


@pytest.mark.parametrize(("count", "kept"), [(1, 2 / 11), (80, 0.9), (100, 0.9)])
def test_the_mean_reaches_back_over_a_ninth_and_no_farther_than_its_decay(
    count: int, kept: float
) -> None:
    for told in (count, torch.tensor(count)):
        means = [torch.tensor([1.0, 2.0]), torch.tensor([[3.0]])]
        running_mean(0.9)(means, [torch.tensor([2.0, 2.0]), torch.tensor([[5.0]])], told)
        torch.testing.assert_close(means[0], torch.tensor([2 - kept, 2.0]))
        torch.testing.assert_close(means[1], torch.tensor([[5 - 2 * kept]]))
