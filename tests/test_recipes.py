from pathlib import Path

import pytest

from caelab.commands.train import read_options
from caelab.experiments.config import make_config
from caelab.experiments.materials import describe_run

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.toml"))


def test_there_are_recipes() -> None:
    assert RECIPES


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
def test_every_recipe_is_a_run_that_could_begin(recipe: Path) -> None:
    config = make_config(read_options(recipe))
    assert describe_run(config).weights > 0
    assert recipe.read_text().startswith("# ")
