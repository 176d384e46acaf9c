"""What people name on the command line → which picture is read, and where its result goes."""

import glob
import itertools
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from caelab.errors import InputError
from caelab.files import find_files
from caelab.pictures.encode import SUFFIX_FORMATS
from caelab.pictures.picture import printable

STANDARD = "-"
"""Standard input, as a source; standard output, as a target."""

COMPARISON = "-compare"
"""Comes behind the stem of a result: the picture in which it stands beside its source."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One picture: ``source``, ``None`` for standard input, and ``target``, ``None`` for standard
    output.
    """

    source: Path | None
    target: Path | None

    @property
    def name(self) -> str:
        """What messages call the source."""
        return "standard input" if self.source is None else printable(str(self.source))

    @property
    def comparison(self) -> Path:
        """Where the picture goes in which source and result stand beside one another; there must be
        a target.
        """
        assert self.target is not None
        return self.target.with_name(f"{self.target.stem}{COMPARISON}.png")

    def numbered(self, number: int) -> "Job":
        """Return the job of a variant, whose target's name ends in ``number``; there must be a
        target.
        """
        assert self.target is not None
        target = self.target.with_name(f"{self.target.stem}-{number}{self.target.suffix}")
        return Job(source=self.source, target=target)


@dataclass(frozen=True)
class _Found:
    """A picture, where its result goes within a folder of results, and the folder it was found in
    if it was found.
    """

    source: Path
    within: Path
    root: Path | None = None


def find_jobs(
    inputs: Sequence[str],
    *,
    output: str | None = None,
    suffix: str = "-restored",
    recursive: bool = False,
) -> list[Job]:
    """Find the pictures, and name each one's result.

    Without ``output`` a result lies beside its source, named with ``suffix``; sources that end in
    it, or in what variants and comparisons add to it, are then left out of folders, being results
    of an earlier call. An ``output`` that has the suffix of a picture is the result of the one
    source; any other is a folder, in which the structure below a folder that was named is repeated.
    A GIF's result is a PNG.

    Args:
        inputs: Files, folders, patterns such as ``*.jpg`` and ``**/*.png``, or ``-``.
        output: A folder, a file, or ``-``.
        suffix: Comes behind the stem, before the dot.
        recursive: Look into folders in folders. Links are followed; every folder is entered once.

    Raises:
        InputError: There is no picture, two would have one result, or the options contradict one
            another.
    """
    if STANDARD in inputs or output == STANDARD:
        return [_standard(inputs, output)]
    found = list(
        dict.fromkeys(picture for given in inputs for picture in _find(given, recursive=recursive))
    )
    if output is None:
        if not suffix:
            raise InputError(
                "without an output folder, a suffix is needed, so that results do not replace"
                " sources."
            )
        earlier = re.compile(rf"{re.escape(suffix)}(-\d+)?({COMPARISON})?$")
        found = [
            each for each in found if each.root is None or not earlier.search(each.source.stem)
        ]
    if not found:
        raise InputError(
            f"no pictures in {', '.join(map(printable, inputs))}; known are {_known()}."
        )
    if (
        output is not None
        and not Path(output).is_dir()
        and Path(output).suffix.lower() in SUFFIX_FORMATS
    ):
        if len(found) > 1:
            raise InputError(
                f"{len(found)} pictures cannot go to the one file {printable(output)}. Name a"
                " folder."
            )
        return [Job(source=found[0].source, target=Path(output))]
    if output is not None:
        folder = Path(output)
        if folder.is_file():
            raise InputError(
                f"{printable(output)} is a file, and no picture's. Name a folder, or another"
                " picture."
            )
        found = [each for each in found if not _is_result(each, folder)]
        jobs = [
            Job(source=each.source, target=folder / _renamed(each.within, "")) for each in found
        ]
    else:
        jobs = [Job(source=each.source, target=_renamed(each.source, suffix)) for each in found]
    _refuse_collisions(jobs)
    return jobs


def _standard(inputs: Sequence[str], output: str | None) -> Job:
    if len(inputs) != 1:
        raise InputError(f"{STANDARD} stands for one picture; name nothing beside it.")
    source = None if inputs[0] == STANDARD else Path(inputs[0])
    if source is not None and not source.is_file():
        raise InputError(
            f"only one picture goes to standard output, and {printable(inputs[0])} is no file."
        )
    return Job(source=source, target=None if output in (None, STANDARD) else Path(output))


def _find(given: str, *, recursive: bool) -> Iterator[_Found]:
    path = Path(given)
    if path.is_dir():
        for picture in find_files(path, suffixes=SUFFIX_FORMATS, recursive=recursive):
            yield _Found(picture, picture.relative_to(path), path)
    elif path.exists():
        yield _Found(path, Path(path.name))
    elif glob.has_magic(given):
        matches = [Path(match) for match in sorted(glob.glob(given, recursive=True))]  # noqa: PTH207 - also absolute ones
        if not matches:
            raise InputError(f"nothing is called like {printable(given)}.")
        plain = itertools.takewhile(lambda part: not glob.has_magic(part), path.parts)
        root = Path(*plain)
        for match in matches:
            if match.is_file() and match.suffix.lower() in SUFFIX_FORMATS:
                yield _Found(match, match.relative_to(root), root)
    else:
        raise InputError(f"there is no {printable(given)}.")


def _renamed(path: Path, suffix: str) -> Path:
    ending = ".png" if path.suffix.lower() in ("", ".gif") else path.suffix
    return path.with_name(f"{path.stem}{suffix}{ending}")


def _is_result(found: _Found, folder: Path) -> bool:
    """Whether it is in the folder of results, which itself lies in the folder that is looked
    through.
    """
    output = folder.resolve()
    return (
        found.root is not None
        and output != found.root.resolve()
        and found.source.resolve().is_relative_to(output)
    )


def _refuse_collisions(jobs: Sequence[Job]) -> None:
    taken: dict[str, Job] = {}
    for job in jobs:
        # Two names that differ by case alone are one file on some systems.
        key = os.path.abspath(job.target or "").casefold()  # noqa: PTH100 - a link must stay itself
        if key in taken:
            raise InputError(
                f"{taken[key].name} and {job.name} would both be written to"
                f" {printable(str(job.target))}. Name them in two calls, or rename one."
            )
        taken[key] = job


def _known() -> str:
    return " ".join(SUFFIX_FORMATS)
