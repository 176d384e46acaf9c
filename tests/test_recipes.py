import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from caelab.commands.recipes import command
from caelab.commands.train import read_options
from caelab.errors import InputError
from caelab.experiments.config import make_config
from caelab.experiments.recipes import find_recipe, read_recipes, recipe_file
from caelab.experiments.search import read_search
from caelab.experiments.setup import describe_run
from caelab.experiments.study import read_study

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.toml"))
STUDIES, SEARCHES = (
    [recipe for recipe in RECIPES if kind in tomllib.loads(recipe.read_text(encoding="utf-8"))]
    for kind in ("study", "search")
)
RUNS = [recipe for recipe in RECIPES if recipe not in STUDIES + SEARCHES]


def test_there_are_recipes_and_each_says_what_it_is_for() -> None:
    assert RUNS
    assert STUDIES
    assert all(recipe.read_text(encoding="utf-8").startswith("# ") for recipe in RECIPES)


@pytest.mark.parametrize("recipe", RUNS, ids=lambda recipe: recipe.stem)
def test_every_recipe_is_a_run_that_could_begin(recipe: Path) -> None:
    config = make_config(read_options(recipe))
    assert describe_run(config).weights > 0


@pytest.mark.parametrize("recipe", STUDIES, ids=lambda recipe: recipe.stem)
def test_every_recipe_is_a_study_that_could_begin(recipe: Path) -> None:
    study = read_study(recipe)  # which describes every network
    assert study.name == recipe.stem
    assert study.question
    assert len(study.variants) > 1
    assert all(describe_run(variant.config) == variant.description for variant in study.variants)


@pytest.mark.parametrize("recipe", SEARCHES, ids=lambda recipe: recipe.stem)
def test_every_recipe_is_a_search_that_could_begin(recipe: Path) -> None:
    search = read_search(recipe, options={})
    for pick in (0, -1):
        values = {
            name: levels[pick] for name, levels in search.space.items() if isinstance(levels, list)
        }
        ends = {
            name: (levels.low, levels.high)[pick]
            for name, levels in search.space.items()
            if name not in values
        }
        assert describe_run(search.config({**values, **ends})).weights > 0


def test_the_architectures_cover_the_exercise() -> None:
    study = read_study(next(recipe for recipe in STUDIES if recipe.stem == "architectures"))
    levels = {variant.factor for variant in study.variants}
    assert levels >= {
        "layers",
        "channels",
        "kernel",
        "stride",
        "downsampling",
        "padding",
        "upsampling",
        "code_activation",
        "code",
    }
    codes = [variant.description.code for variant in study.variants if not variant.factor]
    shapes = {code.shape for code in codes if code and code.size == 768}
    assert shapes == {(3, 16, 16), (12, 8, 8), (48, 4, 4), (192, 2, 2), (768, 1, 1)}
    sizes = {
        variant.description.code.size
        for variant in study.variants
        if variant.factor == "code" and variant.description.code
    }
    assert sizes == {64, 128, 256, 512, 2048}  # and the base's 1024


def test_recipes_have_names_wherever_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for path in ("reference-long", "recipes/reference-long.toml"):
        assert read_options(Path(path)) == {"network": "reference", "epochs": 40}
    assert read_study(Path("architectures")).name == "architectures"
    assert read_search(Path("search-best"), options={}).name == "best-768"
    # A file of one's own comes first.
    (tmp_path / "reference-long").write_text("epochs = 3")
    assert read_options(Path("reference-long")) == {"epochs": 3}
    # Another folder of that name is another path.
    assert find_recipe(Path("my/reference.toml"), "run") == Path("my/reference.toml")


def test_a_name_that_is_none_or_of_another_kind_is_refused() -> None:
    with pytest.raises(InputError, match="Did you mean reference-long"):
        recipe_file("reference-lon")
    with pytest.raises(InputError, match="`caelab study`"):
        read_options(Path("architectures"))
    with pytest.raises(InputError, match="`caelab train`"):
        read_study(Path("reference"))


def test_all_recipes_are_listed_by_kind() -> None:
    kinds = {each.name: each.kind for each in read_recipes()}
    assert kinds.keys() == {recipe.stem for recipe in RECIPES}
    assert {name for name, kind in kinds.items() if kind == "study"} == {
        recipe.stem for recipe in STUDIES
    }
    assert all(10 < len(each.summary) < 130 for each in read_recipes())


def test_the_command_lists_and_prints_recipes() -> None:
    listed = CliRunner().invoke(command, []).stdout
    assert {line.split()[0] for line in listed.splitlines()[1:]} == {file.stem for file in RECIPES}
    printed = CliRunner().invoke(command, ["denoise"]).stdout
    assert tomllib.loads(printed)["degradation"] == "noise0.1"
