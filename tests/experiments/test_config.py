import pytest

from caelab.errors import InputError
from caelab.experiments.config import PARAMETERS, RunConfig, make_config
from caelab.experiments.setup import describe_run
from caelab.networks import PRESETS
from caelab.networks.parser import parse


def test_a_configuration_is_stored_in_tables_and_repeats() -> None:
    config = make_config(
        {"network": "conv8  pool | up conv3", "epochs": 3, "optimizer": {"grad_clip": 0.5}}
    )
    assert config.network.text == "conv8 pool | up conv3"
    assert config.model_dump(mode="json")["optimizer"]["grad_clip"] == 0.5
    assert make_config(config.model_dump(mode="json")) == config


def test_the_key_follows_what_is_trained_not_where_the_data_lies() -> None:
    config = RunConfig()
    assert config.key("abc") == RunConfig().replace(data="/elsewhere").key("abc")
    others = [
        RunConfig().replace(seed=1),
        RunConfig().replace(network="conv3"),
        RunConfig().replace(epochs=11),
        RunConfig().replace(split="official"),
    ]
    keys = {config.key("abc"), config.key("abd"), *(other.key("abc") for other in others)}
    assert len(keys) == 6


def learning_rate(value: float) -> dict[str, object]:
    return {"optimizer": {"learning_rate": value}}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"epochs": 0}, "`epochs` 0: should be at least 1."),
        ({"epochs": -3}, "`epochs` -3: should be at least"),
        (learning_rate(float("nan")), "`optimizer.learning_rate` nan: should be a finite number."),
        (learning_rate(float("inf")), "`optimizer.learning_rate` inf: should be a finite number."),
        (learning_rate(0.0), "`optimizer.learning_rate` 0: should be above 0."),
        ({"optimizer": {"warmup": 1.0}}, "`optimizer.warmup` 1: should be below 1."),
        ({"data": {"size": 0}}, "`data.size` 0: should be a side of 1 to 1024 pixels"),
        ({"data": {"size": 1025}}, "`data.size` 1025: should be a side of 1 to 1024 pixels"),
        (
            {"data": {"split_seed": -1}},
            "`data.split_seed` -1: should be at least 0",
        ),
        ({"batch_size": 2.5}, "`batch_size` 2.5: should be a whole number"),
        ({"epochs": "ten"}, "`epochs` ten: should be a whole number."),
        ({"epoch": 3}, "there is no parameter epoch; did you mean epochs?"),
        (
            {"optimizer": {"warmpu": 0}},
            "no parameter optimizer.warmpu; did you mean optimizer.warmup?",
        ),
        ({"zzz": 3}, "there is no parameter zzz."),
        (
            {"loss": {"kind": "mae"}},
            "`loss.kind` mae: should be mse, l1, huber, charbonnier, bce or cross_entropy;",
        ),
        (
            {"batch_size": 0, "epochs": 0},
            "`batch_size` 0: should be at least 1; `epochs` 0: should be",
        ),
        ({"flip": True}, "flip is in another place: write augmentation.flip."),
        (
            {"loss": {"grad_clip": 1.0}},
            "loss.grad_clip is in another place: write optimizer.grad_clip.",
        ),
        ({"loss": "l1"}, "loss is a table: write loss.kind = 'l1'."),
        ({"epochs": {"kind": 3}}, "`epochs` {'kind': 3}: should be a whole number."),
        ({"epochs": 3, "augmentation": {"epochs": 3}}, "did you mean epochs?"),
        ({"network": 3}, "`network` 3: should be a network text or the name of a preset."),
        ({"batch": 3}, "batch is now called batch_size."),
        ({"impair": "gray"}, "impair is now called degradation."),
        ({"init": "data"}, "`init` data: 'data' is now called 'lsuv'."),
    ],
)
def test_every_wrong_option_is_named(options: dict[str, object], said: str) -> None:
    with pytest.raises(InputError) as raised:
        make_config(options)
    assert said in str(raised.value)


def test_the_learning_rate_suits_the_widest_layer() -> None:
    import torch

    from caelab.networks.build import build
    from caelab.training.optimizers import OptimizerConfig, peak_learning_rate

    def rate(text: str, **options: float) -> float:
        return peak_learning_rate(
            OptimizerConfig(**options), build(parse(text), generator=torch.Generator())
        )

    assert rate("conv8 pool conv12 pool conv16 | up conv12 up conv3") == 8e-3
    assert rate("conv4 conv3") == 8e-3  # never more
    assert rate("conv32 conv3") == pytest.approx(8e-3 * 144 / 288)
    assert rate("conv32 conv3", learning_rate=0.5) == 0.5
    assert rate("pool up") == 8e-3


def test_a_preset_and_its_text_are_the_same_run() -> None:
    named, spelled = (
        RunConfig().replace(network=text) for text in ("unet-small", f" {PRESETS['unet-small']} ")
    )
    assert named == spelled
    assert named.key("abc") == spelled.key("abc")
    assert spelled.network_name == "unet-small"


def test_presets_are_written_canonically() -> None:
    assert all(str(parse(text)) == text for text in PRESETS.values())


def test_every_parameter_has_a_short_name_of_its_own() -> None:
    config = RunConfig()
    assert config.replace(**config.flat()) == config
    assert len({parameter.dotted for parameter in PARAMETERS.values()}) == len(PARAMETERS) == 46


def test_a_delta_without_hubers_error_is_refused() -> None:
    with pytest.raises(
        InputError,
        match=r"`loss.huber_delta` 0\.5 has an effect only with the loss huber, .* has mse\.",
    ):
        describe_run(RunConfig().replace(huber_delta=0.5))
    describe_run(RunConfig().replace(huber_delta=0.5, loss="huber"))


@pytest.mark.parametrize(
    "options",
    [
        {"rotate": -1.0},
        {"rotate": 181.0},
        {"gamma_jitter": 1.5},
        {"huber_delta": 0.0},
        {"color_loss_weight": -1.0},
    ],
)
def test_what_is_out_of_range_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(InputError, match=f"{next(iter(options))}` .*should be"):
        RunConfig().replace(**options)
