"""The exercises' plans for every budget."""

from caelab.experiments.config import RunConfig
from caelab.lab import studies
from caelab.lab.budgets import BUDGETS, cuts


def test_budgets_name_networks_that_there_are() -> None:
    base = RunConfig().replace(data="photos")
    for budget in BUDGETS.values():
        labels = {variant.label for variant in studies.second(budget, base).variants}
        assert labels >= set(budget.networks or ())
        colored = {variant.label for variant in studies.third(budget, base, "reference").variants}
        assert colored >= set(budget.ideas or ())
        assert budget.ideas is None or len(colored) == len(budget.ideas)
    assert {*studies.BEST_NETWORK, studies.UNET, "U-Net, color space lab"} <= colored
    quick, standard, full = (
        studies.first(BUDGETS[name], base) for name in ("quick", "standard", "full")
    )
    assert {*quick.seeds} <= {*standard.seeds} <= {*full.seeds}


def test_exercise_1_is_the_run_that_caelab_train_reference_makes() -> None:
    (variant,) = studies.first(BUDGETS["standard"], RunConfig()).variants
    assert variant.config == RunConfig().replace(network="reference", epochs=10)
    base = studies.second(BUDGETS["standard"], RunConfig()).base
    assert base.key("x") == variant.config.key("x")  # so that it is trained once


def test_what_is_cut_is_said() -> None:
    assert cuts(BUDGETS["full"]) == []
    assert any("6,400 images" in said for said in cuts(BUDGETS["quick"]))
    assert any("5 times" in said for said in cuts(BUDGETS["standard"]))
    assert any("one seed" in said for said in cuts(BUDGETS["standard"]))


def test_ideas_that_tell_other_classes_than_the_images_have_are_left_out() -> None:
    study = studies.third(BUDGETS["full"], RunConfig(), "reference")
    (telling,) = [variant for variant in study.variants if variant.description.classifiers]
    assert studies.possible(study, 10) == study
    for classes in (0, 2, 11):
        rest = studies.possible(study, classes).variants
        assert {*study.variants} - {*rest} == {telling}
        assert rest[0] == study.variants[0]


def test_colorizers_take_gray_images_and_the_best_network() -> None:
    best = "conv4 pool conv2 | up conv3"
    study = studies.third(BUDGETS["full"], RunConfig(), best)
    assert {str(variant.config.degradation) for variant in study.variants} == {"gray"}
    assert study.base.network.text == best
    assert {variant.description.input[0] for variant in study.variants} == {1}
    assert {variant.config.epochs for variant in study.variants} == {BUDGETS["full"].color_epochs}
