"""The view "Restore": pictures in, pictures out, with a slider between before and after."""

import re
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from PIL import Image
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from caelab.app.found_runs import find_runs
from caelab.app.jobs import Job, Jobs
from caelab.app.pages import render
from caelab.degrade.degradation import parse_degradation
from caelab.errors import InputError, printable
from caelab.files import replacing
from caelab.memory import max_memory
from caelab.pictures.backends.base import PictureModel
from caelab.pictures.batch import work
from caelab.pictures.colorize import colorize
from caelab.pictures.comparison import (
    compare,
    compare_colors,
    compare_with_source,
    has_color,
    without_color,
)
from caelab.pictures.inputs import find_jobs
from caelab.pictures.model_files import shipped_models
from caelab.pictures.open_model import command_for, open_model, require_task
from caelab.pictures.picture import Picture
from caelab.pictures.read import PIXEL_BYTES, PIXEL_LIMIT, read_picture
from caelab.pictures.restore import restore
from caelab.processors import default_threads

TASKS = {
    "colorize": "Color gray pictures",
    "denoise": "Remove noise",
    "restore": "Undo blur, reduction, compression or holes",
    "reconstruct": "Show what an autoencoder keeps",
}
"""Titles of the tasks by the command that does the same."""

MAX_FILES = 500
"""Largest number of files of a request."""

LARGE = 12_000_000
"""Pixels of all pictures together from which on a request waits among the large ones."""

PREVIEW_SIDE = 4096
"""Longest side of the pictures that the page shows, in pixels; results keep their size."""

_COMPARISONS = {"colorize": compare_colors, "reconstruct": compare_with_source}


@dataclass(frozen=True, kw_only=True)
class Restoration:
    """What a user asks for.

    Attributes:
        task: Name of the task.
        model: Name or path of the model.
        saturation: Factor of the colors; ``None`` for the model's own.
        scales: Shorter sides at which a colorizer sees a picture; ``None`` for the model's own.
        variants: Number of colorings of each picture; 0 for the one that the model is surest of.
        compared: True if errors against the picture itself are to be measured.
    """

    task: str
    model: str
    saturation: float | None = None
    scales: tuple[int, ...] | None = None
    variants: int = 0
    compared: bool = False


@dataclass(frozen=True, kw_only=True)
class Restored:
    """A picture of a job.

    Attributes:
        name: Name of the user's file.
        error: Why it failed; ``None`` if it did not.
        notes: What users should know.
        metrics: Errors of the result, where they were measured.
        result: File of the result.
        before: File that the page shows of the picture, gray where it was to be colored.
        truth: File that the page shows of the picture with its own colors, where it has any.
        after: File that the page shows of the result.
        size: Width and height in pixels.
    """

    name: str
    error: str | None = None
    notes: tuple[str, ...] = ()
    metrics: Mapping[str, float] | None = None
    result: Path | None = None
    before: Path | None = None
    truth: Path | None = None
    after: Path | None = None
    size: tuple[int, int] | None = None


def models_for(task: str, runs: Path) -> list[str]:
    """Return the names of the shipped models, and the paths of the runs, that do a task."""
    shipped = {name: model.card["degradation"] for name, model in shipped_models().items()}
    trained = {
        str(run.directory.path): run.config.degradation
        for run in find_runs(runs)
        if run.state == "finished" and run.config is not None
    }
    return [
        name
        for name, degradation in {**shipped, **trained}.items()
        if command_for(parse_degradation(str(degradation))) == task
        or (task == "restore" and command_for(parse_degradation(str(degradation))) == "denoise")
    ]


def read_options(form: Mapping[str, Any], runs: Path) -> Restoration:
    """Read a form, or the query of a URL.

    Raises:
        InputError: A value is wrong; the message names the field.
    """
    task = str(form.get("task") or "colorize")
    if task not in TASKS:
        raise InputError(f"there is no task {printable(task)!r}. Choose one of the list.")
    models = models_for(task, runs)
    model = str(form.get("model") or (task if task in models else next(iter(models), "")))
    if model not in models:
        raise InputError(f"no model {printable(model)!r} is there for this task.")
    scales = str(form.get("scales") or "")
    found = tuple(int(part) for part in re.findall(r"\d{1,4}", scales))
    if scales and not (found and all(1 <= scale <= 1024 for scale in found)):
        raise InputError("Scales: give numbers of pixels from 1 to 1024, such as 32 or 32,64.")
    return Restoration(
        task=task,
        model=model,
        saturation=_number(form, "saturation", 0, 10),
        scales=found or None,
        variants=int(_number(form, "variants", 0, 8) or 0),
        compared=bool(form.get("compared")),
    )


def _number(form: Mapping[str, Any], name: str, low: float, high: float) -> float | None:
    text = str(form.get(name) or "")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise InputError(f"{name.capitalize()}: give a number from {low:g} to {high:g}.")
    return value


async def _form(request: Request) -> Response:
    query = request.query_params
    runs = request.app.state.runs
    task = query.get("task", "colorize")
    if task not in TASKS:
        raise InputError(f"there is no task {printable(task)!r}. Choose one of the list.")
    models = await run_in_threadpool(models_for, task, runs)
    return render(
        request, "restore.html.j2", tasks=TASKS, task=task, models=models, query=query,
        max_files=MAX_FILES,
    )  # fmt: skip


async def _submit(request: Request) -> Response:
    jobs: Jobs = request.app.state.jobs
    async with request.form(max_files=MAX_FILES, max_fields=50) as form:
        options = await run_in_threadpool(read_options, form, request.app.state.runs)
        uploads = [
            each
            for each in form.getlist("pictures")
            if isinstance(each, UploadFile) and each.filename
        ]
        if not uploads:
            raise InputError("choose at least one picture.")
        job = jobs.new(TASKS[options.task], len(uploads) * max(1, options.variants))
        sources = []
        folder = job.folder / "in"
        folder.mkdir()
        for name, upload in zip(_names(each.filename for each in uploads), uploads, strict=True):
            await run_in_threadpool(_save, upload, folder / name)
            sources.append(folder / name)
    pixels = sum([await run_in_threadpool(_pixels, source) for source in sources])
    jobs.start(job, partial(_restore_all, options, sources), large=pixels > LARGE)
    url = f"/restore/{job.name}"
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse({"url": url})
    return RedirectResponse(url, status_code=303)


def _save(upload: UploadFile, path: Path) -> None:
    with path.open("wb") as file:
        while piece := upload.file.read(2**20):
            file.write(piece)


def _pixels(source: Path) -> int:
    """Return a picture's number of pixels by its header; 0 if it has none that can be read."""
    try:
        with Image.open(source) as opened:
            return opened.width * opened.height
    # Damage of any kind is said when the picture is read.
    except Exception:
        return 0


def _names(names: Iterable[str | None]) -> list[str]:
    """Return file names without folders and odd characters, each different.

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
    """Restore every picture of a job; one that fails does not stop the others."""
    model = _opened(options.model)
    require_task(model, options.task, name=options.model)
    models = [model]
    if options.variants:
        models = [model.variant(number, 0) for number in range(options.variants)]
    results = []
    for number, each in enumerate(models, 1):
        target = job.folder / f"out-{number}"
        target.mkdir()
        for index, source in enumerate(sources):
            results.append(_restore_one(options, each, source, target, index))
            job.step()
    return results


def _restore_one(
    options: Restoration, model: PictureModel, source: Path, target: Path, index: int
) -> Restored:
    process: Callable[[Sequence[Picture]], list[Picture]] = partial(restore, model)
    if options.task == "colorize":
        process = partial(
            colorize,
            model,
            scales=options.scales,
            saturation=options.saturation,
            threads=default_threads(),
        )
    try:
        (found,) = find_jobs([str(source)], output=str(target))
    except InputError as error:
        return Restored(name=source.name, error=_without_folder(str(error), source))
    draw = _COMPARISONS.get(options.task, compare) if options.compared else None
    limit = min(PIXEL_LIMIT, max_memory() // PIXEL_BYTES)
    (outcome,) = work([found], process, compare=draw, max_pixels=limit)
    if outcome.error is not None or found.target is None:
        return Restored(name=source.name, error=_without_folder(outcome.error or "", source))
    before, after, truth = (target / f"{index}-{name}.jpg" for name in ("before", "after", "truth"))
    picture = read_picture(source)
    _preview(picture, truth)
    _preview(without_color(picture) if options.task == "colorize" else picture, before)
    _preview(read_picture(found.target), after)
    return Restored(
        name=source.name,
        notes=outcome.notes,
        metrics=outcome.metrics,
        result=found.target,
        before=before,
        truth=truth if options.task == "colorize" and has_color(picture) else None,
        after=after,
        size=picture.size[::-1],
    )


def _without_folder(message: str, file: Path) -> str:
    """Return a message without the server's folder, which says nothing to a user of the page."""
    return message.replace(f"{file.parent}/", "")


def _preview(picture: Picture, target: Path) -> None:
    """Write a picture in a form and size that browsers show."""
    image = picture.to_pillow().convert("RGB")
    image.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE), Image.Resampling.LANCZOS)
    image.save(target, quality=92)


def _job(request: Request) -> Job:
    job = request.app.state.jobs.get(request.path_params["job"])
    if job is None:
        raise HTTPException(404)
    found: Job = job
    return found


async def _show(request: Request) -> Response:
    job = _job(request)
    return render(request, "restored.html.j2", job=job, before=request.app.state.jobs.before(job))


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
