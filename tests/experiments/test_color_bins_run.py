"""A run that classifies chroma, from its options to its variants."""

import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from caelab.errors import InputError
from caelab.experiments import run as run_module
from caelab.experiments.config import RunConfig
from caelab.experiments.evaluate import evaluate
from caelab.experiments.run import run
from caelab.experiments.run_directory import RunDirectory
from caelab.experiments.setup import describe_run
from caelab.interrupt import Interrupted
from caelab.models.weights_file import load_model

Small = Callable[..., RunConfig]


def bins_config(small: Small, **changed: object) -> RunConfig:
    usual = {
        "degradation": "gray",
        "target": "bins",
        "loss": "cross_entropy",
        "bins": 24,
        "color_space": "ycbcr",
        "epochs": 2,
    }
    return small(**{**usual, **changed})


@pytest.fixture(scope="module")
def finished(small: Small, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return run(bins_config(small), out=tmp_path_factory.mktemp("bins") / "run")


def test_the_network_is_given_a_channel_a_bin(small: Small) -> None:
    assert describe_run(bins_config(small, network="unet-color", size=32)).output == (24, 32, 32)


def test_it_learns_and_says_both_its_loss_and_its_error(finished: RunDirectory) -> None:
    first, *_, last = finished.read_epochs()
    assert last["train_chroma_cross_entropy"] < first["train_chroma_cross_entropy"]
    assert last["train_chroma_cross_entropy"] < np.log(24) * 1.1
    result = finished.read(finished.result)
    assert result["target"] == "bins"
    assert 0 < result["test"]["mse"] < 0.2


def test_evaluating_the_run_gives_its_result_again(finished: RunDirectory) -> None:
    again = evaluate(finished.path, options={})
    assert again["errors"] == pytest.approx(finished.read(finished.result)["test"], rel=1e-4)


def test_an_interrupted_run_goes_on_to_the_same_bits(
    finished: RunDirectory, small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit, steps = run_module.fit, 0

    def interrupting(*arguments: object) -> object:
        nonlocal steps
        for epoch in fit(*arguments):  # type: ignore[arg-type]
            steps += 1
            if steps == 4:
                signal.raise_signal(signal.SIGINT)
            yield epoch

    monkeypatch.setattr(run_module, "fit", interrupting)
    with pytest.raises(Interrupted):
        run(bins_config(small), out=tmp_path / "run")
    resumed = run(bins_config(small), out=tmp_path / "run")
    whole, after = load_file(finished.weights), load_file(resumed.weights)
    assert whole.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in whole.items())
    assert finished.read(finished.result)["test"] == resumed.read(resumed.result)["test"]


def test_the_weights_alone_give_variants(finished: RunDirectory) -> None:
    model, card = load_model(finished.weights, torch.device("cpu"))
    assert card.bins is not None
    assert len(card.bins.cells) == 24
    gray = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    drawn = model.variants(gray, 4, seed=1)
    assert drawn.shape == (2, 4, 3, 16, 16)
    assert torch.equal(drawn, model.variants(gray, 4, seed=1))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"loss": "mse"},
            "`loss.kind` mse does not fit `target.kind` bins. Choose the loss cross_entropy, or",
        ),
        ({"loss": "bce"}, "`loss.kind` bce does not fit `target.kind` bins"),
        ({"degradation": "noise0.1"}, "`target.kind` bins needs the luminance"),
        (
            {"target": "chroma"},
            (
                "does not fit `target.kind` chroma. Choose the loss mse, l1, huber or"
                " charbonnier, or the target bins."
            ),
        ),
        ({"target": "rgb"}, "`loss.kind` cross_entropy does not fit `target.kind` rgb"),
        (
            {"target": "chroma", "loss": "mse"},
            "`target.bins` 24 has an effect only with the target bins",
        ),
        (
            {"target": "rgb", "loss": "mse", "bins": 104, "temperature": 1.0},
            "`target.temperature` 1 has an effect only with",
        ),
        (
            {"target": "rgb", "loss": "mse", "bins": 104, "rebalance": 0.0},
            "`target.rebalance` 0 has an effect only with",
        ),
    ],
)
def test_what_does_not_go_together_is_said(
    small: Small, options: dict[str, object], said: str
) -> None:
    with pytest.raises(InputError) as raised:
        describe_run(bins_config(small, **options))
    assert said in str(raised.value)


def test_the_key_counts_only_what_differs_from_the_defaults() -> None:
    spelled = RunConfig().replace(bins=104, temperature=0.38)
    assert spelled.key("abc") == RunConfig().key("abc")
    assert RunConfig().replace(bins=24).key("abc") != RunConfig().key("abc")
