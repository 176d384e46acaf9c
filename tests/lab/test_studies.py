"""The exercises' plans for every budget."""

import dataclasses

import pytest

from caelab.experiments.config import RunConfig
from caelab.lab import studies
from caelab.lab.budgets import BUDGETS, larger_budget


def test_budgets_name_networks_that_there_are() -> None:
    base = RunConfig().replace(data="photos")
    for budget in BUDGETS.values():
        labels = {variant.label for variant in studies.architecture_study(budget, base).variants}
        assert labels >= set(budget.networks or ())
        colored = {
            variant.label
            for variant in studies.colorization_study(budget, base, "reference").variants
        }
        assert colored >= set(budget.ideas or ())
        assert budget.ideas is None or len(colored) == len(budget.ideas)
    assert {*studies.BEST_NETWORK, studies.UNET, "U-Net, colors in Lab"} <= colored
    quick, standard, full = (
        studies.reconstruction_study(BUDGETS[name], base) for name in ("quick", "standard", "full")
    )
    assert {*quick.seeds} <= {*standard.seeds} <= {*full.seeds}


FACTORS = ("layers", "channels", "kernel", "stride", "padding")


@pytest.mark.parametrize(("name", "levels"), [("quick", 1), ("standard", 2), ("full", 2)])
def test_every_choice_of_the_assignment_is_made_with_the_code_kept_and_without(
    name: str, levels: int
) -> None:
    study = studies.architecture_study(BUDGETS[name], RunConfig().replace(data="photos"))
    base = study.variants[0].description.code_size
    for factor in FACTORS:
        sizes = [each.description.code_size for each in study.variants if each.factor == factor]
        assert sizes.count(base) >= levels
        # At padding "same" no kernel changes the size.
        assert len(sizes) - sizes.count(base) >= (levels if factor != "kernel" else 0)
    assert sum(each.factor == "code" for each in study.variants) >= 3
    assert {each.description.code_size for each in study.variants if not each.factor} == {base, 768}


def test_every_network_has_two_seeds_and_the_reference_three_in_the_standard_budget() -> None:
    base = RunConfig().replace(data="photos")
    quick = studies.architecture_study(BUDGETS["quick"], base)
    assert (quick.seeds, quick.base_seeds) == ((0, 1), (0, 1))
    standard = studies.architecture_study(BUDGETS["standard"], base)
    assert (standard.seeds, standard.base_seeds) == ((0, 1), (0, 1, 2))
    assert studies.reconstruction_study(BUDGETS["standard"], base).seeds == (0, 1, 2)
    colored = [studies.colorization_study(each, base, "reference") for each in BUDGETS.values()]
    assert {study.seeds for study in colored} == {(0, 1), (0, 1, 2)}
    assert {each.epochs for each in BUDGETS.values()} == {10}


def test_exercise_1_is_the_run_that_caelab_train_reference_makes() -> None:
    (variant,) = studies.reconstruction_study(BUDGETS["standard"], RunConfig()).variants
    assert variant.config == RunConfig().replace(network="reference", epochs=10)
    base = studies.architecture_study(BUDGETS["standard"], RunConfig()).base
    assert base.key("x") == variant.config.key("x")  # so that it is trained once


def test_budgets_grow() -> None:
    assert larger_budget(BUDGETS["quick"]) == BUDGETS["standard"]
    assert larger_budget(BUDGETS["full"]) is None
    assert larger_budget(dataclasses.replace(BUDGETS["quick"], name="mine")) is None


def test_ideas_that_tell_other_classes_than_the_images_have_are_left_out() -> None:
    study = studies.colorization_study(BUDGETS["full"], RunConfig(), "reference")
    (telling,) = [variant for variant in study.variants if variant.description.classifiers]
    assert studies.without_other_classes(study, 10) == study
    for classes in (0, 2, 11):
        rest = studies.without_other_classes(study, classes).variants
        assert {*study.variants} - {*rest} == {telling}
        assert rest[0] == study.variants[0]


def test_colorizers_take_gray_images_and_the_best_network() -> None:
    best = "conv4 pool conv2 | up conv3"
    study = studies.colorization_study(BUDGETS["full"], RunConfig(), best)
    assert {str(variant.config.degradation) for variant in study.variants} == {"gray"}
    assert study.base.network.text == best
    assert {variant.description.input[0] for variant in study.variants} == {1}
    assert {variant.config.epochs for variant in study.variants} == {BUDGETS["full"].color_epochs}
