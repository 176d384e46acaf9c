import click
import pytest

from caelab.commands.messages import with_flags


@click.command()
@click.option("--size", type=int)
@click.option("--ema/--no-ema", "ema_decay")
@click.option("-o", "--output")
def command(**_: object) -> None:
    """Options to name."""


command.params[0].parameters = ("data.size",)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("`size` 0 is too small.", "--size 0 is too small."),
        ("`data.size` 0 is too small.", "--size 0 is too small."),
        ("Choose another `output`, or `ema_decay` 0.9.", "Choose another --output, or --ema 0.9."),
        ("`nowhere` and `loss.kind` are no options.", "`nowhere` and `loss.kind` are no options."),
        ("Start one with `ray start --head`.", "Start one with `ray start --head`."),
    ],
)
def test_parameters_become_flags(message: str, expected: str) -> None:
    assert with_flags(message, command) == expected
    with click.Context(command):
        assert with_flags(message) == expected


def test_without_a_command_parameters_stay() -> None:
    assert with_flags("`size` 0 is too small.") == "`size` 0 is too small."
