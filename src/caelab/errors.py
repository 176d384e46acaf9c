"""Errors that are reported in one line, without a traceback."""

import difflib
import unicodedata
from collections.abc import Iterable


def printable(name: object) -> str:
    r"""Escape every character that a terminal would act on, including ends of lines.

    >>> printable("a\nb\x1b[31m.png")
    'a\\nb\\x1b[31m.png'
    """
    return "".join(_escaped(char) if _acts(char) else char for char in str(name))


def printable_lines(text: str) -> str:
    """Escape the same characters as :func:`printable`, but keep the ends of lines."""
    return "\n".join(map(printable, text.split("\n")))


def _acts(char: str) -> bool:
    # For Python, unusual spaces such as the no-break space are not printable. They are harmless.
    return not char.isprintable() and unicodedata.category(char) != "Zs"


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()


class ExpectedError(Exception):
    """Something went wrong, but the program is not at fault.

    The message may contain names of files and parts of their content, so it is escaped when it is
    shown.

    Attributes:
        outcome: First word of the message that the command line prints.
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
    configuration: "`loss.kind` cross_entropy needs `target.kind` bins". The command line replaces
    these names by its flags.

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
    """Return names as a list with "or" before the last one.

    >>> alternatives(["mse", "l1", "huber"])
    'mse, l1 or huber'
    """
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def suggestion(name: str, known: Iterable[str], *, most: int = 1) -> str:
    """Return a sentence that suggests names similar to an unknown one; empty if there are none.

    The sentence begins with a space, so that it can follow another one.

    Args:
        name: Name that is not known.
        known: Names that are known.
        most: Largest number of names in the sentence.

    >>> suggestion("trian", ["train", "study"])
    ' Did you mean train?'
    """
    near = difflib.get_close_matches(name, list(known), n=most)
    return f" Did you mean {' or '.join(near)}?" if near else ""


def missing_extra(purpose: str, extra: str) -> InputError:
    """Return the error for a missing package, with the command that installs it.

    Args:
        purpose: What needs the package, such as "a search needs Optuna".
        extra: Name of caelab's extra (a group of optional packages) that has the package.
    """
    return InputError(f"{purpose}: {install_command(extra)}")


def install_command(extra: str) -> str:
    """Return the command that installs the packages of an extra, a group of optional packages.

    >>> print(install_command("search"))
    pip install 'optuna>=4'
    """
    from importlib.metadata import PackageNotFoundError, requires  # slow, and rarely needed

    try:
        requirements = requires("caelab") or []
    except PackageNotFoundError:  # caelab is imported from a checkout, and is not installed
        requirements = []
    # The command names each package. For "caelab[search]", pip would look for caelab on PyPI, even
    # if it was installed from a checkout.
    wanted = [
        f"'{requirement.partition(';')[0].strip()}'"
        for requirement in requirements
        if requirement.replace("'", '"').endswith(f'extra == "{extra}"')
    ]
    # An extra is unknown if caelab has no metadata, or the metadata of an older version.
    return f"pip install {' '.join(wanted)}" if wanted else f"pip install 'caelab[{extra}]'"
