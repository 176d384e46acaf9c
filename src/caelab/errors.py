"""Errors that are reported in one line, without a traceback."""

import unicodedata
from collections.abc import Iterable
from pathlib import Path


def printable(name: object) -> str:
    r"""Escape every character that a terminal would act on, ends of lines too.

    >>> printable("a\nb\x1b[31m.png")
    'a\\nb\\x1b[31m.png'
    """
    return "".join(_escaped(char) if _acts(char) else char for char in str(name))


def printable_lines(text: str) -> str:
    """Escape what :func:`printable` escapes, without the ends of lines."""
    return "\n".join(map(printable, text.split("\n")))


def _acts(char: str) -> bool:
    # Blanks of other widths are not "printable" to Python, and harmless.
    return not char.isprintable() and unicodedata.category(char) != "Zs"


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()


class ExpectedError(Exception):
    """Something went wrong, but the program is not at fault.

    Names of files and what files hold may stand in the message, so it is escaped when it is shown.

    Attributes:
        outcome: First word of the line on the command line.
        exit_code: Exit code of the command line.
    """

    outcome = "failed"
    exit_code = 1

    def __str__(self) -> str:
        return printable_lines(super().__str__())


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


def missing_extra(purpose: str, extra: str) -> InputError:
    """Return the error for a missing package, with a command that installs it.

    >>> print(missing_extra("a search needs Optuna", "search"))
    a search needs Optuna: pip install 'optuna>=4'

    Args:
        purpose: What needs the package.
        extra: Name of caelab's extra that has the package.
    """
    from importlib.metadata import PackageNotFoundError, requires  # slow, and rarely needed

    try:
        requirements = requires("caelab") or []
    except PackageNotFoundError:  # a checkout that is on the path and not installed
        requirements = []
    # Not "caelab[search]", which pip would look for on PyPI, wherever caelab was installed from.
    wanted = [
        f"'{requirement.partition(';')[0].strip()}'"
        for requirement in requirements
        if requirement.replace("'", '"').endswith(f'extra == "{extra}"')
    ]
    # Without metadata, or with those of an older checkout, the extra is not among them.
    words = " ".join(wanted) or f"'caelab[{extra}]'"
    return InputError(f"{purpose}: pip install {words}")


def is_our_fault(error: Exception) -> bool:
    """Return whether an error is a mistake in caelab's code, and not in a file that it reads.

    Libraries raise errors of nearly every kind for damaged files. Those that a wrong program
    raises, in caelab's own lines, are never a file's fault: a version of a library that lacks a
    method must not make every file "damaged".
    """
    if not isinstance(error, AttributeError | ImportError | NameError | TypeError):
        return False
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return (
        trace is not None
        and Path(__file__).parent in Path(trace.tb_frame.f_code.co_filename).parents
    )
