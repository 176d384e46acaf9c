"""Find the pictures that a user names, and the paths of their results."""

import glob
import itertools
import os
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from caelab.errors import InputError
from caelab.files import find_files
from caelab.pictures.encode import READ_SUFFIXES, SUFFIX_FORMATS
from caelab.pictures.picture import printable

STANDARD = "-"
"""Standard input as a source, standard output as a target."""

COMPARISON = "-compare"
"""Suffix of the picture that shows a result next to its source."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One picture to process.

    Attributes:
        source: Path of the picture; ``None`` for standard input.
        target: Path of the result; ``None`` for standard output.
    """

    source: Path | None
    target: Path | None

    @property
    def name(self) -> str:
        """Name of the source in messages."""
        return "standard input" if self.source is None else printable(self.source)

    @property
    def comparison(self) -> Path:
        """Path of the picture that shows source and result; there must be a target."""
        assert self.target is not None
        return self.target.with_name(f"{self.target.stem}{COMPARISON}.png")

    def numbered(self, number: int) -> "Job":
        """Return the job of a variant; the name of its target ends in ``number``."""
        assert self.target is not None
        target = self.target.with_name(f"{self.target.stem}-{number}{self.target.suffix}")
        return Job(source=self.source, target=target)


_Found = tuple[Path, Path | None]
"""A picture, and the folder in which it was found; ``None`` where it was named itself."""


def find_jobs(
    inputs: Sequence[str],
    *,
    output: str | None = None,
    suffix: str = "-restored",
    recursive: bool = False,
) -> list[Job]:
    """Find the pictures and name each one's result.

    Without ``output`` a result lies next to its source, named with ``suffix``; earlier results,
    their variants and comparisons are then left out of folders. An ``output`` with the suffix of a
    picture is the file for the result of a single source; any other is a folder, which gets the
    structure below a named folder. The result of a GIF is a PNG.

    Args:
        inputs: Files, folders, patterns such as ``*.jpg`` and ``**/*.png``, or ``-``.
        output: A folder, a file, or ``-``.
        suffix: Text between the stem of a result and its dot.
        recursive: Look into folders in folders. Links are followed; each folder is entered once.

    Raises:
        InputError: There is no picture, two would have one result, or the options contradict one
            another.
    """
    if STANDARD in inputs or output == STANDARD:
        return [_standard(inputs, output)]
    # A dictionary keeps the order, and a picture that is named twice counts once.
    found = dict.fromkeys(pair for name in inputs for pair in _find(name, recursive))
    targets = _targets(found, output, suffix)
    if not targets:
        raise InputError(
            f"no pictures in {', '.join(map(printable, inputs))}; known suffixes are"
            f" {' '.join(READ_SUFFIXES)}."
        )
    jobs: dict[str, Job] = {}
    for source, target in targets:
        job = Job(source=source, target=target)
        # Two names that differ by case alone are one file on some systems.
        key = os.path.abspath(target).casefold()  # noqa: PTH100 - a link must stay itself
        if key in jobs:
            raise InputError(
                f"{jobs[key].name} and {job.name} would both be written to"
                f" {printable(target)}. Process them by two commands, or rename one."
            )
        jobs[key] = job
    return list(jobs.values())


def _targets(found: Collection[_Found], output: str | None, suffix: str) -> list[tuple[Path, Path]]:
    """Return the pictures, each with the file for its result."""
    if output is None:
        if not suffix:
            raise InputError(
                "without an output folder, a suffix is needed, so that results do not replace"
                " sources."
            )
        # Results of an earlier call are left out, unless they are named themselves.
        earlier = re.compile(rf"{re.escape(suffix)}(-\d+)?({COMPARISON})?$")
        return [
            (source, _renamed(source, suffix))
            for source, root in found
            if root is None or not earlier.search(source.stem)
        ]
    folder = Path(output)
    one_file = folder.suffix.lower() in READ_SUFFIXES and not folder.is_dir()
    if one_file and len(found) > 1:
        raise InputError(
            f"{len(found)} pictures cannot go to the one file {printable(output)}. Name a folder."
        )
    if not one_file and folder.is_file():
        raise InputError(
            f"{printable(output)} is a file without a picture's suffix. Name a folder, or a file"
            f" with one: {' '.join(SUFFIX_FORMATS)}."
        )
    if one_file:
        return [(source, folder) for source, _ in found]
    return [
        (source, folder / _renamed(source.relative_to(root or source.parent)))
        for source, root in found
        if not _is_result(source, root, folder.resolve())
    ]


def _standard(inputs: Sequence[str], output: str | None) -> Job:
    if len(inputs) != 1:
        raise InputError(f"{STANDARD} stands for one picture: name no other input.")
    source = None if inputs[0] == STANDARD else Path(inputs[0])
    if source is not None and not source.is_file():
        raise InputError(
            f"only one picture goes to standard output, and {printable(inputs[0])} is no file."
        )
    return Job(source=source, target=None if output in (None, STANDARD) else Path(output))


def _find(name: str, recursive: bool) -> list[_Found]:
    path = Path(name)
    if path.is_dir():
        files = find_files(path, suffixes=READ_SUFFIXES, recursive=recursive)
        return [(picture, path) for picture in files]
    if path.exists():
        return [(path, None)]
    if not glob.has_magic(name):
        raise InputError(f"there is no {printable(name)}.")
    matches = sorted(glob.glob(name, recursive=True))  # noqa: PTH207 - also absolute ones
    if not matches:
        raise InputError(f"no file matches {printable(name)}.")
    root = Path(*itertools.takewhile(lambda part: not glob.has_magic(part), path.parts))
    return [
        (match, root)
        for match in map(Path, matches)
        if match.is_file() and match.suffix.lower() in READ_SUFFIXES
    ]


def _renamed(path: Path, suffix: str = "") -> Path:
    ending = ".png" if path.suffix.lower() in ("", ".gif") else path.suffix
    return path.with_name(f"{path.stem}{suffix}{ending}")


def _is_result(source: Path, root: Path | None, output: Path) -> bool:
    """Say whether a picture lies in the folder of results, within the folder that is searched."""
    return root is not None and output != root.resolve() and source.resolve().is_relative_to(output)
