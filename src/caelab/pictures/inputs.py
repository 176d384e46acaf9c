"""Find the pictures that a user names, and choose the paths of their results."""

import glob
import logging
import os
import re
import stat
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from caelab.errors import InputError, install_command, printable
from caelab.files import find_files
from caelab.pictures.formats import (
    SUFFIX_FORMATS,
    WRITTEN_SUFFIXES,
    is_picture_suffix,
    written_suffix,
)

_LOGGER = logging.getLogger(__name__)

STANDARD = "-"
"""Name of standard input as a source, and of standard output as a target."""

_STANDARD_OUTPUTS = (STANDARD, "/dev/stdout", "/dev/fd/1")

COMPARISON = "-compare"
"""End of the stem of a picture that shows a result next to its source."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A picture to process, and where its result goes.

    Attributes:
        source: Path of the picture; ``None`` for standard input.
        target: Path of the result; ``None`` for standard output.
    """

    source: Path | None
    target: Path | None

    @property
    def is_stream(self) -> bool:
        """True if the source is standard input, a pipe or a device, which can be read only once."""
        return self.source is None or is_stream(self.source)

    @property
    def name(self) -> str:
        """Name of the source in messages."""
        return "standard input" if self.source is None else printable(self.source)

    @property
    def comparison(self) -> Path:
        """Path of the picture that shows source and result; only for jobs with a target path."""
        assert self.target is not None
        return self.target.with_name(f"{self.target.stem}{COMPARISON}.png")

    def numbered(self, number: int) -> "Job":
        """Return the job of one of several results; the stem of its target ends in ``-number``."""
        assert self.target is not None
        target = self.target.with_name(f"{self.target.stem}-{number}{self.target.suffix}")
        return Job(source=self.source, target=target)


_Found = tuple[Path, Path | None]
"""A picture, and the input folder, or folder before a pattern, in which it was found.

The folder is ``None`` if the user named the picture itself."""


def find_jobs(
    inputs: Sequence[str],
    *,
    output: str | None = None,
    suffix: str = "-restored",
    recursive: bool = False,
) -> list[Job]:
    """Find the pictures that the inputs name, and choose the path of each result.

    Without ``output``, a result is written next to its source, and the stem of the result's name
    ends in ``suffix``. Results, variants and comparisons of an earlier call are then skipped in
    folders and patterns. If ``output`` has the suffix of a picture, it is the file for the result
    of a single source. Any other ``output`` is a folder, and the result of a file in a subfolder of
    an input goes to the same subfolder of ``output``. Unless ``output`` is a file,
    :func:`written_suffix` chooses the suffix of each result. A warning says which files in folders
    and patterns were skipped because of their suffix.

    A picture that is named twice counts once. If it is named by itself, and also found in a folder
    or by a pattern, only its own name counts.

    Args:
        inputs: Files, folders and patterns such as ``*.jpg`` and ``**/*.png``, or a single ``-``
            or pipe.
        output: A folder, a file, or ``-`` for standard output.
        suffix: End of the stem of each result, if there is no ``output``.
        recursive: Also search folders inside folders. Links are followed, and each folder is
            searched only once.

    Raises:
        InputError: There is no picture, two results would have the same path, or the
            arguments contradict one another.
    """
    if output is not None and output != STANDARD:
        _check_output(Path(output))
    if output in _STANDARD_OUTPUTS or any(
        name == STANDARD or is_stream(Path(name)) for name in inputs
    ):
        return [_standard(inputs, output)]
    skipped: Counter[str] = Counter()
    found = _without_duplicates(each for name in inputs for each in _find(name, recursive, skipped))
    if skipped:
        _LOGGER.warning(_skipped_note(skipped))
    targets = _targets(found, output, suffix)
    if not targets:
        raise _nothing_to_do(inputs, only_results=bool(found))
    jobs: dict[str, Job] = {}
    for source, target in targets:
        job = Job(source=source, target=target)
        # Two names that differ only in upper and lower case are one file on some systems.
        key = _absolute(target).casefold()
        if key in jobs:
            raise InputError(
                f"{jobs[key].name} and {job.name} would both be written to"
                f" {printable(target)}. Process them by two commands, or rename one."
            )
        jobs[key] = job
    return list(jobs.values())


def _nothing_to_do(inputs: Sequence[str], *, only_results: bool) -> InputError:
    where = ", ".join(map(printable, inputs))
    if only_results:
        return InputError(
            f"all pictures in {where} are results of an earlier call, which are skipped in folders"
            " and patterns. Name each file that you want to process."
        )
    return InputError(
        f"there are no pictures in {where}; known suffixes are {' '.join(SUFFIX_FORMATS)}."
    )


def _without_duplicates(found: Iterable[_Found]) -> list[_Found]:
    """Return each picture once, in the order of the first time that it was found."""
    by_path: dict[str, _Found] = {}
    for source, root in found:
        earlier = by_path.setdefault(_absolute(source), (source, root))
        if root is None and earlier[1] is not None:
            by_path[_absolute(source)] = (source, None)
    return list(by_path.values())


def _absolute(path: Path) -> str:
    """Return an absolute path without ``..``; links are not followed."""
    return os.path.abspath(path)  # noqa: PTH100 - `Path.resolve` would follow links


def _targets(found: Collection[_Found], output: str | None, suffix: str) -> list[tuple[Path, Path]]:
    """Return the path of each picture and of its result."""
    if output is None:
        if not suffix:
            raise InputError(
                "without an output folder, `suffix` must not be empty, because results would"
                " replace their sources."
            )
        # Results of an earlier call are skipped, unless the user names the files themselves.
        earlier = re.compile(rf"{re.escape(suffix)}(-\d+)?({COMPARISON})?$")
        return [
            (source, _renamed(source, suffix=suffix))
            for source, root in found
            if root is None or not earlier.search(source.stem)
        ]
    folder = Path(output)
    one_file = is_picture_suffix(folder.suffix.lower()) and not folder.is_dir()
    if one_file and len(found) > 1:
        raise InputError(
            f"{len(found)} pictures cannot go to the one file {printable(output)}. Name a folder."
        )
    if not one_file and folder.is_file():
        raise InputError(
            f"{printable(output)} is a file without a picture's suffix. Name a folder, or a file"
            f" that ends in one of {' '.join(WRITTEN_SUFFIXES)}."
        )
    if one_file:
        return [(source, folder) for source, _ in found]
    return [
        (source, folder / _renamed(source, source.relative_to(root or source.parent)))
        for source, root in found
        if not _is_result(source, root, folder.resolve())
    ]


def is_stream(path: Path) -> bool:
    """Return whether a path is a pipe or a device, such as ``/dev/stdin`` or ``<(command)``."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _check_output(output: Path) -> None:
    """Check, before any picture is read, that ``output`` can be a picture file or a folder."""
    suffix = output.suffix.lower()
    format_ = SUFFIX_FORMATS.get(suffix)
    if output.is_dir() or (format_ is None and not is_picture_suffix(suffix)):
        return
    if format_ is None or not format_.written:
        raise InputError(
            f"{printable(output)}: pictures are not written as {suffix}, but as"
            f" {' '.join(WRITTEN_SUFFIXES)}."
        )
    if not format_.available:
        raise InputError(f"to write {printable(output)}, {format_.install}.")


def _standard(inputs: Sequence[str], output: str | None) -> Job:
    """Return the job of one picture whose source or target is a stream."""
    if len(inputs) != 1:
        raise InputError(
            f"{STANDARD} or a pipe stands for exactly one picture: name one input only."
        )
    source = None if inputs[0] == STANDARD else Path(inputs[0])
    if source is not None and not (source.is_file() or is_stream(source)):
        raise InputError(
            f"only one picture goes to standard output, and {printable(inputs[0])} is no file."
        )
    if output is None or output in _STANDARD_OUTPUTS:
        return Job(source=source, target=None)
    return Job(source=source, target=Path(output))


def _find(name: str, recursive: bool, skipped: Counter[str]) -> list[_Found]:
    """Return the pictures of a file, folder or pattern; count other files by their suffix."""
    path = Path(name)
    # For names that no file can have, `os.path` returns False, and `Path` would raise an error.
    if os.path.isdir(name):  # noqa: PTH112
        return _pictures(find_files(path, recursive=recursive), path, skipped)
    if os.path.exists(name):  # noqa: PTH110
        return [(path, None)]
    pattern, root = _pattern(path)
    if pattern is None:
        raise InputError(f"there is no file or folder {printable(name)}.")
    matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - also for absolute paths
    if not matches:
        raise InputError(f"no file matches {printable(name)}.")
    return _pictures([file for file in map(Path, matches) if file.is_file()], root, skipped)


def _pictures(files: Iterable[Path], root: Path, skipped: Counter[str]) -> list[_Found]:
    """Return the files whose suffix can be read; count the other files by their suffix."""
    found: list[_Found] = []
    for file in files:
        format_ = SUFFIX_FORMATS.get(file.suffix.lower())
        if format_ is not None and format_.available:
            found.append((file, root))
        else:
            skipped[file.suffix.lower()] += 1
    return found


def _pattern(path: Path) -> tuple[str | None, Path]:
    """Return a path's glob pattern, and the folder before the pattern.

    The pattern is ``None`` if the path contains none. The name of an existing folder is not a
    pattern, even if the name contains characters such as ``*``.
    """
    root = Path()
    for index, part in enumerate(path.parts):
        if glob.has_magic(part) and not os.path.isdir(root / part):  # noqa: PTH112
            rest = Path(*path.parts[index:])
            return str(Path(glob.escape(str(root))) / rest), root
        root /= part
    return None, root


def _skipped_note(suffixes: Counter[str]) -> str:
    """Return the warning about the files that were skipped, counted by suffix."""
    kinds = ", ".join(
        f"{count} {printable(suffix) or 'without a suffix'}"
        for suffix, count in sorted(suffixes.items())
    )
    files = "1 file was" if suffixes.total() == 1 else f"{suffixes.total():,} files were"
    note = f"{files} skipped: {kinds}."
    if missing := sorted(suffixes.keys() & SUFFIX_FORMATS.keys()):
        note += f" To read {', '.join(missing)}, run {install_command('formats')}."
    return note


def _renamed(source: Path, name: Path | None = None, suffix: str = "") -> Path:
    """Return the path of a result, made from ``name`` or, without a name, from the source."""
    path = name or source
    return path.with_name(f"{path.stem}{suffix}{written_suffix(source)}")


def _is_result(source: Path, root: Path | None, output: Path) -> bool:
    """Return whether a picture that was found in the folder ``root`` is an earlier result.

    A picture is an earlier result if it lies in ``output``, and ``output`` lies inside ``root``.
    """
    if root is None:
        return False
    inside = output != root.resolve() and output.is_relative_to(root.resolve())
    return inside and source.resolve().is_relative_to(output)
