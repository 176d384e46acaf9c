import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from caelab.errors import InputError
from caelab.experiments.study import Study, read_seeds, read_study

Write = Callable[[str], Path]

WHOLE = """
[study]
name = "small"
question = "What is best?"
seeds = [0, 4]

[base]
network = "reference"
epochs = 3

[factors]
kernel = [1, 5]
batch_size = [64]

[factors.layers]
"1 pooling" = "conv8  pool conv16 | up conv3"

[networks]
"16×16×3" = "conv8 pool conv3 | up conv3"
"slow" = { network = "reference", optimizer.kind = "adam", epochs = 20 }
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        file = tmp_path / "some.toml"
        file.write_text(text, encoding="utf-8")
        return file

    return write


def problems(write: Write, text: str) -> str:
    with pytest.raises(InputError) as caught:
        read_study(write(text))
    return str(caught.value)


def based(text: str) -> str:
    return f'[base]\nnetwork = "reference"\n{text}'


def test_a_whole_study(write: Write) -> None:
    study = read_study(write(WHOLE))
    assert (study.name, study.question, study.seeds) == ("small", "What is best?", (0, 4))
    told = {
        variant.label: (variant.factor, variant.level, variant.description.text)
        for variant in study.variants
    }
    reference = "conv8 pool conv12 pool conv16 | up conv12 up conv3"
    assert told == {
        "base": ("", "", reference),
        "kernel 1": ("kernel", "1", "conv8k1 pool conv12k1 pool conv16k1 | up conv12k1 up conv3k1"),
        "kernel 5": ("kernel", "5", "conv8k5 pool conv12k5 pool conv16k5 | up conv12k5 up conv3k5"),
        "batch size 64": ("batch_size", "64", reference),
        "1 pooling": ("layers", "1 pooling", "conv8 pool conv16 | up conv3"),
        "16×16×3": ("", "", "conv8 pool conv3 | up conv3"),
        "slow": ("", "", reference),
    }
    options = {variant.label: variant.config for variant in study.variants}
    assert (
        options["base"].network_name == "reference"
    )  # so that it is the run that `caelab train reference` leaves
    assert options["1 pooling"].network.text == "conv8 pool conv16 | up conv3"
    assert {config.epochs for label, config in options.items() if label != "slow"} == {3}
    assert (
        options["batch size 64"].batch_size,
        options["slow"].optimizer.kind,
        options["slow"].epochs,
    ) == (
        64,
        "adam",
        20,
    )


def test_seed_by_seed_in_the_files_order(write: Write) -> None:
    study = read_study(write(WHOLE))
    order = [(variant.label, config.seed) for variant, config in study.runs()]
    labels = ["base", "kernel 1", "kernel 5", "batch size 64", "1 pooling", "16×16×3", "slow"]
    assert order == [(label, seed) for seed in (0, 4) for label in labels]


def test_the_base_may_have_more_seeds(write: Write) -> None:
    study = dataclasses.replace(read_study(write(WHOLE)), base_seeds=(0, 1, 5))
    seeds: dict[str, list[int]] = {}
    for variant, config in study.runs():
        seeds.setdefault(variant.label, []).append(config.seed)
    assert seeds.pop("base") == [0, 1, 4, 5]
    assert set(map(tuple, seeds.values())) == {(0, 4)}


def test_options_and_seeds_go_before_the_files(write: Write) -> None:
    study = read_study(write(WHOLE), options={"epochs": 2, "data": {"source": "photos"}}, seeds="2")
    assert study.seeds == (0, 1)
    assert {variant.config.epochs for variant in study.variants} == {2, 20}
    assert {variant.config.data.source for variant in study.variants} == {"photos"}


def test_networks_are_adapted_to_the_task(write: Write) -> None:
    study = read_study(write(WHOLE), options={"degradation": "gray", "target": {"kind": "chroma"}})
    assert {
        (variant.description.input[0], variant.description.output[0]) for variant in study.variants
    } == {(1, 2)}


def test_a_parameter_of_a_table_is_a_factor_by_its_short_name(write: Write) -> None:
    text = (
        "[factors]\noptimizer.kind = ['adam']\ntest_time.flip = [true]\n"
        "[factors.loss]\nkind = ['l1']"
    )
    study = read_study(write(based(text)))
    assert [(each.label, each.factor, each.level) for each in study.variants[1:]] == [
        ("optimizer adam", "optimizer", "adam"),
        ("tta flip true", "tta_flip", "true"),
        ("loss l1", "loss", "l1"),
    ]
    assert study.variants[2].config.test_time.flip


def test_crossed_factors_are_combined(write: Write) -> None:
    text = (
        '[study]\ncross = ["optimizer.kind", "kernel", "layers"]\n'
        + based("[factors]\nkernel = [1]\noptimizer.kind = ['adam']\nbatch_size = [64]\n")
        + '[factors.layers]\n"one pooling" = "conv8 pool conv16 | up conv3"'
    )
    study = read_study(write(text))
    found = {each.label: (each.factor, each.level, each.config) for each in study.variants}
    assert [*found][:5] == ["base", "kernel 1", "optimizer adam", "batch size 64", "one pooling"]
    assert set(found) - set([*found][:5]) == {
        "kernel 1 × optimizer adam",
        "kernel 1 × one pooling",
        "optimizer adam × one pooling",
        "kernel 1 × optimizer adam × one pooling",
    }
    factor, level, config = found["kernel 1 × optimizer adam × one pooling"]
    assert (factor, level) == ("kernel × optimizer × layers", "1 × adam × one pooling")
    assert config.network.text == "conv8k1 pool conv16k1 | up conv3k1"
    assert config.optimizer.kind == "adam"


def test_many_combinations_are_asked_about(write: Write) -> None:
    text = '[study]\nseeds = [0, 1]\ncross = ["batch_size", "patience"]\n' + based(
        f"[factors]\nbatch_size = {[*range(1, 26)]}\npatience = {[*range(1, 21)]}\n"
    )
    # Both have their default as another level: 26 × 21 networks with two seeds each.
    assert "1,092 runs" in problems(write, text)
    assert "`yes`" in problems(write, text)
    assert len(read_study(write(text), seeds=[0]).variants) == 26 * 21
    assert len(list(read_study(write(text), yes=True).runs())) == 1092


def test_the_least_a_study_needs(write: Write) -> None:
    study = read_study(write(based("")))
    assert (study.name, study.question, study.seeds) == ("some", "", (0,))
    assert [variant.label for variant in study.variants] == ["base"]


@pytest.mark.parametrize(
    ("given", "seeds"),
    [
        ("3", (0, 1, 2)),
        ("0,4", (0, 4)),
        ("4,", (4,)),
        (" 1 , 0 ", (1, 0)),
        (2, (0, 1)),
        ([7, 5], (7, 5)),
    ],
)
def test_seeds(given: object, seeds: tuple[int, ...]) -> None:
    assert read_seeds(given) == seeds


@pytest.mark.parametrize(
    "given",
    [
        "0",
        "-1",
        "1.5",
        "one",
        "",
        "1,1",
        "0,,1",
        0,
        -2,
        True,
        1.0,
        [],
        [1.0],
        ["0"],
        [True],
        [0, 0],
        {},
    ],
)
def test_seeds_that_are_none(given: object) -> None:
    with pytest.raises(InputError, match="expected different whole numbers from 0 on"):
        read_seeds(given)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[study]\nsedes = [0]\n" + based(""),
            "line 2, [study] sedes: [study] has no key 'sedes'. Did you mean seeds?",
        ),
        (
            based("epoch = 3"),
            "line 3, [base] epoch: there is no parameter epoch; did you mean epochs?",
        ),
        (based("seed = 3"), "line 3, [base] seed: seeds go into [study]."),
        (
            based('[networks]\na = { network = "conv3", seed = 1 }'),
            "a: seed: this must be the same in a whole study",
        ),
        (
            based('[networks]\na = { network = "conv3", epoch = 1 }'),
            "a: there is no parameter epoch",
        ),
        (
            based("[factor]\nkernel = [1]"),
            "line 3, a study has no table 'factor'. Did you mean factors?",
        ),
        (
            based("[factors]\nkernle = [1]"),
            "line 4, [factors] kernle: there is no parameter kernle; did you mean kernel?",
        ),
        (
            based("[factors]\nseed = [1]"),
            "line 4, [factors] seed: this must be the same in a whole study",
        ),
        (
            based("optimizer = 'adam'"),
            "line 3, [base] optimizer: optimizer is a table: write optimizer.kind = 'adam'",
        ),
        (
            based("batch = 3\nbatch_size = 16"),
            "line 3, [base] batch: batch is now called batch_size",
        ),
        (based("optimizer.clip = 1"), "line 3, [base] optimizer.clip: optimizer.clip is now"),
        (based("[base.loss]\nkind = 'mae'"), "line 4, [base] loss.kind: loss.kind mae: should be"),
        (based("impair = 'gray'"), "line 3, [base] impair: impair is now called degradation"),
        (
            based("[factors]\nflip = [true]"),
            "line 4, [factors] flip: flip is in another place: write augmentation.flip",
        ),
        (based("[factors]\nema = [0.9]"), "line 4, [factors] ema: ema is now called ema_decay"),
        (
            based("[factors]\noptimizer.kin = ['adam']"),
            (
                "line 4, [factors] optimizer.kin: there is no parameter optimizer.kin;"
                " did you mean optimizer.kind?"
            ),
        ),
        (
            based('[networks]\na = { network = "conv3", data.size = 16 }'),
            "a: data.size: this must be the same in a whole study",
        ),
        (based("[factors]\nkernel = 5"), "line 4, [factors] kernel: expected a list of levels"),
        (based("[factors]\nkernel = []"), "line 4, [factors] kernel: expected a list of levels"),
        (based("[factors]\nkernel = [-5]"), "kernel -5: -5 is no level of kernel"),
        (
            based("[factors]\nkernel = [1, 3]"),
            "kernel 3: the same run as base; leave one of them out.",
        ),
        (based("[factors]\nbatch_size = [64, 64]"), "batch size 64: this label is used twice."),
        (
            based("[factors]\nbatch_size = [0]"),
            "batch size 0: `batch_size` 0: should be at least 1",
        ),
        (
            based('[networks]\n"kernel 5" = "conv3"\n[factors]\nkernel = [5]'),
            "kernel 5: this label is used twice.",
        ),
        (
            based('[networks]\na = "conv4:relu | conv3"\nb = "conv4 | conv3:none"'),
            "b: the same run as a; leave one of them out.",
        ),
        (based("[networks]\na = 3"), "a: `network` 3: should be a network text"),
        (
            based('[networks]\na = "conv8 pol"'),
            "a: unknown layer 'pol', at column 7:\n\n    conv8 pol\n          ^^^",
        ),
        (
            based('[networks]\na = "conv8 pool | conv3"'),
            "a: the output has shape 3×16×16, not the expected 3×32×32",
        ),
        (
            based('[factors.padding]\n"valid" = "conv3v"'),
            "padding valid: the output has shape 3×30",
        ),
        ("networks = 3\n" + based(""), "line 1, networks should be a table: [networks]."),
        (
            "[study]\nname = 'a/b'\n" + based(""),
            "line 2, [study] name: 'a/b': expected letters, digits, - and _.",
        ),
        ("[study]\nquestion = 3\n" + based(""), "line 2, [study] question: expected a text."),
        (
            "[study]\nseeds = [0, 'x']\n" + based(""),
            "line 2, [study] seeds: `seeds` [0, 'x']: expected different whole",
        ),
        (
            "[study]\ncross = ['kernel', 'layers']\n" + based("[factors]\nkernel = [1]"),
            "line 2, [study] cross: there is no factor layers in [factors]. There are: kernel.",
        ),
        (
            "[study]\ncross = ['kernel']\n" + based("[factors]\nkernel = [1]"),
            "line 2, [study] cross: expected the names of two or more factors.",
        ),
        (
            "[study]\ncross = ['a', 'b']\n"
            + based("[factors]\na = {x = 'conv3k1'}\nb = {y = 'conv3k5'}"),
            "a x × b y: both levels state network, so they cannot be combined.",
        ),
        ("[study]\n", "[base]: expected network = …"),
        ("[base]\nnetwork = 'conv4'", "base: the output has shape 4×32"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(write: Write, text: str, said: str) -> None:
    told = problems(write, text)
    assert said in told
    assert "some.toml has a mistake" in told


def test_all_problems_are_said_together(write: Write) -> None:
    told = problems(
        write, based('[factors]\nkernel = [4, 0, 3]\nkernle = [1]\n[networks]\na = "conv8 pol"')
    )
    assert "some.toml has 4 mistakes" in told
    for said in (
        "kernel 0: 0 is no level",
        "kernel 3: the same run",
        "there is no parameter kernle",
        "a: unknown layer",
    ):
        assert said in told


def test_a_file_that_cannot_be_read_is_said(write: Write, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read the study .*some\.toml: .*line 2, column 8"):
        read_study(write("[study]\nname = \n"))
    with pytest.raises(InputError, match=r"cannot read the study .*nowhere\.toml"):
        read_study(tmp_path / "nowhere.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"cannot read the study .*binary\.toml"):
        read_study(tmp_path / "binary.toml")


def test_a_studys_base_is_its_first_variant(write: Write) -> None:
    study: Study = read_study(write(WHOLE))
    assert study.base is study.variants[0].config


@pytest.mark.parametrize("seeds", [10**12, 10**30, "10001"])
def test_more_seeds_than_any_study_has_are_refused(seeds: object) -> None:
    with pytest.raises(InputError, match="10,000 seeds at most"):
        read_seeds(seeds)


def test_levels_that_are_nested_too_deeply_are_refused(write: Write) -> None:
    deep = "[" * 400 + "1" + "]" * 400
    with pytest.raises(InputError):
        read_study(write(f'[study]\n[base]\nnetwork = "conv3"\n[factors]\nkernel = {deep}\n'))
