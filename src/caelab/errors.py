"""Errors that are reported in one line, without a traceback."""

from collections.abc import Iterable


class ExpectedError(Exception):
    """Something went wrong, but the program is not at fault.

    Attributes:
        outcome: First word of the line on the command line.
        exit_code: Exit code of the command line.
    """

    outcome = "failed"
    exit_code = 1


class InputError(ExpectedError):
    """An input is wrong: a file, a text or a parameter.

    The message is one paragraph that says what was wrong, where (file, column), and what to do.
    It names parameters in backticks, by the name of the argument or by the path in the
    configuration: "`loss.kind` cross_entropy needs `target.kind` bins". The command line puts its
    flags in their place.

    >>> import caelab
    >>> try:
    ...     caelab.describe("conv8 pol | up conv3")
    ... except caelab.InputError as error:
    ...     print(str(error).splitlines()[0])
    unknown layer 'pol', at column 7:
    """

    outcome = "error"
    exit_code = 2


def alternatives(names: Iterable[str]) -> str:
    """Return names as a message lists them where one of them is expected.

    >>> alternatives(["mse", "l1", "huber"])
    'mse, l1 or huber'
    """
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last
