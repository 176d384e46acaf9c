"""The view "Restore": process uploaded pictures, and compare before and after with a slider."""

import itertools
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from urllib.parse import urlencode

from PIL import Image
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from caelab.app.guard import BODY_LIMIT
from caelab.app.jobs import Job, Jobs
from caelab.app.pages import render
from caelab.app.restore_options import (
    MEASURED_TASKS,
    TASKS,
    TRAINABLE,
    Restoration,
    models_for,
    read_options,
    require_known,
)
from caelab.app.uploads import for_page, max_pixels, preview, save
from caelab.errors import InputError
from caelab.files import replacing
from caelab.pictures.backends.base import PictureModel
from caelab.pictures.batch import Process, work
from caelab.pictures.comparison import (
    compare,
    compare_colors,
    compare_with_source,
    has_color,
    without_color,
)
from caelab.pictures.fill import Mask, read_mask
from caelab.pictures.inputs import find_jobs
from caelab.pictures.open_model import open_model
from caelab.pictures.picture import Picture
from caelab.pictures.read import read_picture

MAX_FILES = 500
"""Largest number of files of a request."""

LARGE = 12_000_000
"""A request whose pictures together have more pixels than this waits in the lane of large jobs."""

PREVIEW_SIDE = 4096
"""Longest side, in pixels, of pictures that the page shows; downloaded results keep their size."""

GONE = (
    "these pictures are no longer here: the server was started again, or newer pictures needed the"
    " space. Choose them again."
)
"""Message at the address of a job that was removed."""

_STATE = ("task", "model", "saturation", "scales", "variants", "compared", "strength", "auto")
"""Fields that the address of a result contains, so that the form can show the same settings."""

_COMPARISONS = {"colorize": compare_colors, "reconstruct": compare_with_source}


@dataclass(frozen=True, kw_only=True)
class Restored:
    """A result for a picture of a job.

    Attributes:
        name: Name of the user's file.
        title: Title of the result, if a picture has several.
        error: Message that says why the picture failed; otherwise ``None``.
        notes: Notes for the user.
        metrics: Errors of the result, if they were measured.
        result: File of the result.
        before: File of the picture as the page shows it; gray if the task is to color it.
        truth: File of the picture in its own colors, if the task is to color it and it has colors.
        after: File of the result as the page shows it.
        size: Width and height in pixels.
    """

    name: str
    title: str = ""
    error: str | None = None
    notes: tuple[str, ...] = ()
    metrics: Mapping[str, float] | None = None
    result: Path | None = None
    before: Path | None = None
    truth: Path | None = None
    after: Path | None = None
    size: tuple[int, int] | None = None


async def _form(request: Request) -> Response:
    query = request.query_params
    task = query.get("task", "colorize")
    require_known(task)
    models = await run_in_threadpool(models_for, task, request.app.state.runs)
    return render(
        request, "restore.html.j2", tasks=TASKS, task=task, models=models, query=query,
        max_files=MAX_FILES, max_bytes=BODY_LIMIT, measured=task in MEASURED_TASKS,
        several=any(models.values()),
        degradation=TRAINABLE.get(task),
    )  # fmt: skip


async def _submit(request: Request) -> Response:
    async with request.form(max_files=MAX_FILES + 1, max_fields=50) as form:
        options = await run_in_threadpool(read_options, form, request.app.state.runs)
        uploads = _files(form, "pictures")
        if not uploads:
            raise InputError("choose at least one picture.")
        if options.task == "fill" and (masks := _files(form, "mask")):
            mask = await run_in_threadpool(_read_mask, masks[0])
            options = replace(options, mask=mask)
        state = urlencode({name: str(form[name]) for name in _STATE if form.get(name)})
        job = await run_in_threadpool(_begin, request.app.state.jobs, options, uploads)
    url = f"/restore/{job.name}"
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse({"url": url})
    return RedirectResponse(f"{url}?{state}", status_code=303)


def _begin(jobs: Jobs, options: Restoration, uploads: Sequence[UploadFile]) -> Job:
    """Save the uploaded pictures, and start a job that restores them."""
    total = len(uploads) * options.results
    with jobs.prepare(TASKS[options.task], total) as job:
        folder = job.folder / "in"
        folder.mkdir()
        names = _names(upload.filename for upload in uploads)
        for name, upload in zip(names, uploads, strict=True):
            save(upload, folder / name)
        sources = [folder / name for name in names]
    large = sum(map(_pixels, sources)) > LARGE
    jobs.start(job, partial(_restore_all, options, sources), large=large)
    return job


def _files(form: FormData, name: str) -> list[UploadFile]:
    return [each for each in form.getlist(name) if isinstance(each, UploadFile) and each.filename]


def _read_mask(upload: UploadFile) -> Mask:
    return read_mask(upload.file.read(), name="the mask", max_pixels=max_pixels())


def _pixels(source: Path) -> int:
    """Return the number of pixels that a picture's header states; 0 if it cannot be read."""
    try:
        with Image.open(source) as opened:
            return opened.width * opened.height * getattr(opened, "n_frames", 1)
    # Any damage is reported later, when the picture is read.
    except Exception:
        return 0


def _names(names: Iterable[str | None]) -> list[str]:
    """Return file names without folders and special characters, and make equal names different.

    >>> _names(["a.png", "../A.png", "<b>.jpg", None])
    ['a.png', 'A-2.png', '_b_.jpg', 'picture']
    """
    taken: set[str] = set()
    cleaned = []
    for name in names:
        last = re.split(r"[/\\]", name or "")[-1]
        safe = re.sub(r'[\x00-\x1f\x7f<>:"|?*\[\]]', "_", last).lstrip(".") or "picture"
        path = Path(safe)
        stem, suffix = path.stem[:80], path.suffix[:12]
        unique, number = f"{stem}{suffix}", 1
        while unique.casefold() in taken:
            number += 1
            unique = f"{stem}-{number}{suffix}"
        taken.add(unique.casefold())
        cleaned.append(unique)
    return cleaned


@lru_cache(maxsize=4)
def _opened(name: str) -> PictureModel:
    return open_model(name)


def _restore_all(options: Restoration, sources: Sequence[Path], job: Job) -> list[Restored]:
    """Restore every picture of a job; if a picture fails, the others continue."""
    processes = options.processes(_opened(options.model))
    targets = [job.folder / f"out-{number}" for number in range(1, len(processes) + 1)]
    for target in targets:
        target.mkdir()
    results = []
    for index, source in enumerate(sources):
        for (title, process), target in zip(processes, targets, strict=True):
            made = _restore_one(options, process, source, target, index)
            results.append(replace(made, title=title))
            job.step()
    return results


def _restore_one(
    options: Restoration, process: Process, source: Path, target: Path, index: int
) -> Restored:
    try:
        (found,) = find_jobs([str(source)], output=str(target))
    except InputError as error:
        return Restored(name=source.name, error=for_page(str(error), source))
    draw = _COMPARISONS.get(options.task, compare) if options.compared else None
    limit = max_pixels()
    (outcome,) = work([found], process, compare=draw, max_pixels=limit)
    if outcome.error is not None or found.target is None:
        return Restored(name=source.name, error=for_page(outcome.error or "", source))
    before, after, truth = (target / f"{index}-{name}.jpg" for name in ("before", "after", "truth"))
    picture = read_picture(source, max_pixels=limit)
    colored = options.task == "colorize" and has_color(picture)
    _preview(without_color(picture) if options.task == "colorize" else picture, before)
    if colored:
        _preview(picture, truth)
    _preview(read_picture(found.target, max_pixels=limit), after)
    return Restored(
        name=source.name,
        notes=outcome.notes,
        metrics=outcome.metrics,
        result=found.target,
        before=before,
        truth=truth if colored else None,
        after=after,
        size=picture.size[::-1],
    )


def _preview(picture: Picture, target: Path) -> None:
    """Write a picture in a format and size that browsers can show."""
    preview(picture, PREVIEW_SIDE).save(target, quality=92)


def _job(request: Request) -> Job:
    job = request.app.state.jobs.get(request.path_params["job"])
    if job is None:
        raise HTTPException(404, GONE)
    found: Job = job
    return found


async def _show(request: Request) -> Response:
    job = _job(request)
    numbered = enumerate(job.result or []) if job.state == "done" else ()
    # `groupby` needs the results of a picture next to each other, and different names of pictures.
    groups = itertools.groupby(numbered, key=lambda each: each[1].name)
    return render(
        request, "restored.html.j2", job=job, before=request.app.state.jobs.before(job),
        groups=[(name, list(results)) for name, results in groups],
        state=str(request.query_params),
    )  # fmt: skip


async def _progress(request: Request) -> Response:
    job = _job(request)
    before = request.app.state.jobs.before(job)
    return JSONResponse(
        {
            "state": job.state,
            "done": job.done,
            "total": job.total,
            "before": before,
            "error": job.error,
        }
    )


async def _file(request: Request) -> Response:
    job, kind = _job(request), request.path_params["kind"]
    results: list[Restored] = job.result or []
    index = request.path_params["index"]
    if index >= len(results) or kind not in ("before", "truth", "after", "result"):
        raise HTTPException(404)
    file: Path | None = asdict(results[index])[kind]
    if file is None:
        raise HTTPException(404)
    return FileResponse(file, filename=file.name if kind == "result" else None)


async def _archive(request: Request) -> Response:
    job = _job(request)
    files = [each.result for each in job.result or [] if each.result is not None]
    if not files:
        raise HTTPException(404)
    path = job.folder / "all.zip"
    await run_in_threadpool(_write_archive, path, files)
    return FileResponse(path, filename="caelab.zip")


def _write_archive(path: Path, files: Sequence[Path]) -> None:
    names = _names(file.name for file in files)
    # Pictures are compressed already.
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, file in zip(names, files, strict=True):
            archive.write(file, name)


ROUTES = [
    Route("/restore", _form, methods=["GET"]),
    Route("/restore", _submit, methods=["POST"]),
    Route("/restore/{job}", _show),
    Route("/restore/{job}/progress", _progress),
    Route("/restore/{job}/all.zip", _archive),
    Route("/restore/{job}/{index:int}/{kind}", _file),
]
