import subprocess
from collections.abc import Callable

import click
import pytest

from caelab.commands.help import SHORT, documented_command
from caelab.commands.options import (
    ALL,
    COMMON,
    GROUPS,
    TEST_TIME,
    RunOption,
    flag_of,
    run_options,
)
from caelab.experiments.config import PARAMETERS

Call = Callable[..., subprocess.CompletedProcess[str]]


def test_every_parameter_is_in_one_group() -> None:
    assert GROUPS.keys() == {each.path[0] for each in PARAMETERS.values()} - {"network"}
    assert set(ALL) == PARAMETERS.keys() - {"network", "start_fingerprint", *TEST_TIME} | {"tta"}
    assert set(COMMON) < set(ALL)


@pytest.mark.parametrize("name", ["train", "study", "search"])
def test_the_long_help_explains_all_options_and_the_short_one_names_them(
    caelab: Call, name: str
) -> None:
    short, full = caelab(name, "--help").stdout, caelab(name, "--help-all").stdout
    flags = {flag_of(each) for each in ALL} - ({"--seed"} if name == "study" else set())
    for flag in flags:
        assert flag in short.split()
        assert f"\n  {flag} " in full
    assert set(GROUPS.values()) <= {line.rstrip(":") for line in full.splitlines()}
    explained = {flag for flag in flags if f"\n  {flag} " in short}
    assert explained == ({flag_of(each) for each in COMMON} if name == "train" else set())


def test_few_options_are_all_explained() -> None:
    @documented_command("command", "one", "two")
    @run_options("data", "tta", "device")
    def command(**_: object) -> None:
        """Do it."""

    options = [each for each in command.params if isinstance(each, RunOption)]
    assert len(options) <= SHORT
    text = command.get_help(click.Context(command))
    assert "--help-all" not in text
    for part in ("Data:", "Test time:", "Hardware:", "Examples:\n  one\n  two"):
        assert part in text


@pytest.mark.parametrize(
    ("flag", "bounds"),
    [
        ("--rotate FLOAT", ("at least 0", "at most 180")),
        ("--ema-decay FLOAT", ("above 0", "below 1")),
        ("--bins INTEGER", ("at least 8", "at most 512")),
    ],
)
def test_the_help_says_in_what_bounds_a_number_must_be(
    caelab: Call, flag: str, bounds: tuple[str, str]
) -> None:
    text = " ".join(caelab("train", "--help-all").stdout.split()).split(flag)[1].split(" --")[0]
    for bound in bounds:
        assert bound in text
