import pytest

from caelab.errors import InputError
from caelab.experiments.config import RunConfig, make_config
from caelab.experiments.setup import describe_run
from caelab.networks import PRESETS
from caelab.networks.parser import parse


def test_a_configuration_is_stored_unmodified_and_repeats() -> None:
    config = make_config({"network": "conv8  pool | up conv3", "epochs": 3, "clip": 0.5})
    assert config.network == "conv8  pool | up conv3"
    assert make_config(config.model_dump(mode="json")) == config


def test_the_key_follows_what_is_trained_not_where_the_data_lies() -> None:
    config = RunConfig()
    assert config.key("abc") == RunConfig(data="/elsewhere").key("abc")
    others = [
        RunConfig(seed=1),
        RunConfig(network="conv3"),
        RunConfig(epochs=11),
        RunConfig(split="official"),
    ]
    keys = {config.key("abc"), config.key("abd"), *(other.key("abc") for other in others)}
    assert len(keys) == 6


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"epochs": 0}, "--epochs 0: should be greater than or equal to 1."),
        ({"epochs": -3}, "--epochs -3: should be greater"),
        ({"learning_rate": float("nan")}, "--learning-rate nan: should be a finite number."),
        ({"learning_rate": float("inf")}, "--learning-rate inf: should be a finite number."),
        ({"learning_rate": 0.0}, "--learning-rate 0: should be greater than 0."),
        ({"warmup": 1.0}, "--warmup 1: should be less than 1."),
        ({"batch": 2.5}, "--batch 2.5: should be a valid integer"),
        ({"epochs": "ten"}, "--epochs ten: should be a valid integer."),
        ({"epoch": 3}, "--epoch 3: is no option of a run; did you mean --epochs?"),
        ({"zzz": 3}, "--zzz 3: is no option of a run."),
        (
            {"loss": "mae"},
            "--loss mae: should be 'mse', 'l1', 'huber', 'charbonnier', 'bce' or 'cross_entropy'.",
        ),
        (
            {"batch": 0, "epochs": 0},
            "--batch 0: should be greater than or equal to 1; --epochs 0: should be",
        ),
    ],
)
def test_every_wrong_option_is_named(options: dict[str, object], said: str) -> None:
    with pytest.raises(InputError) as raised:
        make_config(options)
    assert said in str(raised.value)


def test_the_learning_rate_suits_the_widest_layer() -> None:
    import torch

    from caelab.experiments.setup import peak_learning_rate
    from caelab.networks.build import build

    def rate(text: str, **options: float) -> float:
        return peak_learning_rate(
            RunConfig(**options), build(parse(text), generator=torch.Generator())
        )

    assert rate("conv8 pool conv12 pool conv16 | up conv12 up conv3") == 8e-3
    assert rate("conv4 conv3") == 8e-3  # never more
    assert rate("conv32 conv3") == pytest.approx(8e-3 * 144 / 288)
    assert rate("conv32 conv3", learning_rate=0.5) == 0.5
    assert rate("pool up") == 8e-3


def test_a_preset_that_changes_makes_other_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    named, spelled = RunConfig(network="unet-small"), RunConfig(network=PRESETS["unet-small"])
    before = named.key("abc")
    assert spelled.key("abc") == before
    monkeypatch.setitem(PRESETS, "unet-small", "conv4 conv2")
    assert named.key("abc") != before
    assert spelled.key("abc") == before


def test_a_delta_without_hubers_error_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"--huber-delta 0\.5 is an option of --loss huber, and this run has mse\."
    ):
        describe_run(RunConfig(huber_delta=0.5))
    describe_run(RunConfig(huber_delta=0.5, loss="huber"))


@pytest.mark.parametrize(
    "options",
    [
        {"rotate": -1.0},
        {"rotate": 181.0},
        {"tone": 1.5},
        {"huber_delta": 0.0},
        {"color_weight": -1.0},
    ],
)
def test_what_is_out_of_range_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(InputError, match=f"--{next(iter(options)).replace('_', '-')} .*should be"):
        make_config(options)
