"""The view "Runs": show runs while they train, compare them, start and stop them."""

import json
import re
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from caelab.api.comparison import compare
from caelab.api.run import Run
from caelab.app import processes
from caelab.app.error_plot import draw_errors
from caelab.app.found_runs import FoundRun, find_run, find_runs
from caelab.app.jobs import Job, Jobs
from caelab.app.pages import render
from caelab.errors import InputError
from caelab.experiments.config import PARAMETERS, make_config, nest
from caelab.files import write_text
from caelab.networks.presets import PRESETS
from caelab.report.report import write_report

RECORDS = ".app"
"""Subfolder of the folder of runs, in which the page records the trainings that it starts."""

FIELDS = (
    "network", "data", "epochs", "train_size", "batch_size", "learning_rate", "degradation",
    "target", "loss", "seed",
)  # fmt: skip
"""Options in the form for a new run, by their short names."""

REPORT_HEADERS = {
    # A report is one file with its own script and style. It loads nothing else.
    "content-security-policy": (
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline';"
        " img-src data: blob:; base-uri 'none'; frame-ancestors 'none';"
        " sandbox allow-scripts allow-downloads"
    )
}

_MOST_SEEDS = 20


def _record(runs: Path, name: str) -> Path:
    """Return the folder for the record of a run. The run's name may contain slashes."""
    return runs / RECORDS / name.replace("/", "--")


def _find(request: Request) -> FoundRun:
    found = find_run(request.app.state.runs, request.path_params["name"])
    if found is None:
        raise HTTPException(404, "there is no such run here.")
    return found


def _list(request: Request) -> Response:
    runs = request.app.state.runs
    fields = [(name, PARAMETERS[name]) for name in FIELDS]
    return render(
        request, "runs.html.j2", runs=find_runs(runs), folder=runs, fields=fields,
        presets=PRESETS, query=request.query_params,
    )  # fmt: skip


def _states(request: Request) -> Response:
    return JSONResponse([run.as_json() for run in find_runs(request.app.state.runs)])


def _show(request: Request) -> Response:
    run = _find(request)
    record = _record(request.app.state.runs, run.name)
    return render(
        request, "run.html.j2", run=run, mine=processes.is_running(record),
        started_here=(record / processes.RECORD).is_file(), log=processes.log_of(record),
        plot=draw_errors(run), results=_results(run),
    )  # fmt: skip


def _results(run: FoundRun) -> list[dict[str, Any]]:
    """Return the test errors of a finished run and its baselines; an empty list for other runs."""
    if run.state != "finished":
        return []
    try:
        return list(Run(run.directory.path).results)
    except InputError:
        return []


def _state(request: Request) -> Response:
    run = _find(request)
    return JSONResponse({**run.as_json(), "plot": draw_errors(run)})


def _figure(request: Request) -> Response:
    directory = _find(request).directory
    figures = {"samples": directory.samples, "error": directory.error}
    file = figures.get(request.path_params["figure"])
    if file is None or not file.is_file():
        raise HTTPException(404, "this run has no such figure.")
    return FileResponse(file)


def _compare(request: Request) -> Response:
    names = request.query_params.getlist("run")
    found = [find_run(request.app.state.runs, name) for name in names]
    if None in found or len(set(names)) < 2:
        raise InputError("choose at least two finished runs in the list.")
    named: dict[str, Any] = {run.name: run.directory.path for run in found if run is not None}
    compared = compare(**named)
    return render(request, "compare.html.j2", means=compared.means, pairs=compared.pairs)


async def _start(request: Request) -> Response:
    async with request.form(max_fields=50, max_part_size=100_000) as form:
        values = {name: str(value).strip() for name, value in form.items()}
    url = await run_in_threadpool(start_training, request.app.state.runs, values)
    return RedirectResponse(url, status_code=303)


def start_training(runs: Path, values: Mapping[str, str]) -> str:
    """Start a run; or a study, if there are several networks or seeds.

    Args:
        runs: Folder of run directories.
        values: Texts of the form, by the short names of a run's options. ``network`` may have
            several lines with a network each. ``seeds`` is the number of seeds.

    Returns:
        URL of the page that shows the training.

    Raises:
        InputError: A value is wrong; nothing is started.
    """
    options = {name: _value(values[name]) for name in FIELDS if values.get(name)}
    networks = [line.strip() for line in str(options.pop("network", "")).splitlines()]
    networks = [line for line in networks if line] or ["reference"]
    for network in networks:
        # A wrong value must be an error in the page, not only in the log of a process.
        make_config(nest({**options, "network": network}))
    seeds = _value(values.get("seeds") or "1")
    if not isinstance(seeds, int) or not 1 <= seeds <= _MOST_SEEDS:
        raise InputError(f"Seeds: give a number from 1 to {_MOST_SEEDS}.")
    stamp = time.strftime("%Y%m%d-%H%M%S")
    flags = [part for name, value in options.items() for part in _flag(name, value)]
    if len(networks) == 1 and seeds == 1:
        name = f"{_slug(networks[0])}-{stamp}"
        arguments = ["train", networks[0], *flags, "--out", str(runs / name)]
        processes.start(arguments, _record(runs, name))
        return f"/runs/started/{name}"
    options.pop("seed", None)
    name = f"study-{stamp}"
    record = _record(runs, name)
    study = _study_text(name, networks, options)
    write_text(record / f"{name}.toml", study)
    arguments = ["study", str(record / f"{name}.toml"), "--seeds", str(seeds)]
    arguments += ["--runs", str(runs), "--out", str(runs / name), "--report"]
    processes.start(arguments, record)
    return f"/runs/started/{name}"


def _value(text: str) -> Any:
    """Convert a text to a number if it is one, because the configuration does not convert texts."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _flag(name: str, value: Any) -> list[str]:
    return [f"--{name.replace('_', '-')}", str(value)]


def _slug(network: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", network.lower()).strip("-")[:40] or "run"


def _study_text(name: str, networks: list[str], options: Mapping[str, Any]) -> str:
    """Return the TOML text of a study of several networks."""
    # Texts and numbers are written in TOML as in JSON.
    lines = ["[study]", f"name = {json.dumps(name)}", "", "[base]"]
    lines.append(f"network = {json.dumps(networks[0])}")
    lines += [
        f"{PARAMETERS[option].dotted} = {json.dumps(value)}" for option, value in options.items()
    ]
    lines += ["", "[networks]"]
    lines += [f"{json.dumps(network)} = {json.dumps(network)}" for network in networks[1:]]
    return "\n".join(lines) + "\n"


def _started(request: Request) -> Response:
    runs, name = request.app.state.runs, request.path_params["name"]
    known = {path.name for path in (runs / RECORDS).glob("*") if path.is_dir()}
    if name not in known:
        raise HTTPException(404, "no training with this name was started here.")
    record = _record(runs, name)
    return render(
        request, "started.html.j2", name=name, log=processes.log_of(record),
        running=processes.is_running(record), run=find_run(runs, name),
        report=(runs / name / "report.html").is_file(),
    )  # fmt: skip


def _stop(request: Request) -> Response:
    return _act(request, processes.stop)


def _resume(request: Request) -> Response:
    return _act(request, processes.resume)


def _act(request: Request, action: Any) -> Response:
    runs, name = request.app.state.runs, request.path_params["name"]
    known = {path.name for path in (runs / RECORDS).glob("*") if path.is_dir()}
    if name not in known:
        raise HTTPException(404, "no training with this name was started here.")
    action(_record(runs, name))
    return RedirectResponse(f"/runs/started/{name}", status_code=303)


async def _make_report(request: Request) -> Response:
    jobs: Jobs = request.app.state.jobs
    async with request.form(max_fields=1000) as form:
        names = [str(name) for name in form.getlist("run")]
    found = [await run_in_threadpool(find_run, request.app.state.runs, name) for name in names]
    paths = [run.directory.path for run in found if run is not None and run.state == "finished"]
    if not paths:
        raise InputError("choose finished runs in the list for a report.")
    job = jobs.new("Report", 1)
    jobs.start(job, partial(_report, paths), large=True)
    return RedirectResponse(f"/runs/report/{job.name}", status_code=303)


def _report(paths: list[Path], job: Job) -> Path:
    write_report(paths, out=job.folder)
    job.step()
    return job.folder / "report.html"


def _report_page(request: Request) -> Response:
    job: Job | None = request.app.state.jobs.get(request.path_params["job"])
    if job is None:
        raise HTTPException(404, "this report is no longer here. Choose the runs again.")
    if job.state == "done":
        return FileResponse(job.result, headers=REPORT_HEADERS)
    return render(request, "report.html.j2", job=job, before=request.app.state.jobs.before(job))


def _report_state(request: Request) -> Response:
    job: Job | None = request.app.state.jobs.get(request.path_params["job"])
    if job is None:
        raise HTTPException(404)
    before = request.app.state.jobs.before(job)
    return JSONResponse(
        {"state": job.state, "done": job.done, "total": job.total, "before": before}
    )


def _study_report(request: Request) -> Response:
    runs, name = request.app.state.runs, request.path_params["name"]
    known = {path.parent.name: path for path in runs.glob("*/report.html")}
    if name not in known:
        raise HTTPException(404, "there is no such report.")
    return FileResponse(known[name], headers=REPORT_HEADERS)


ROUTES = [
    Route("/runs", _list, methods=["GET"]),
    Route("/runs", _start, methods=["POST"]),
    Route("/runs/states", _states),
    Route("/runs/compare", _compare),
    Route("/runs/report", _make_report, methods=["POST"]),
    Route("/runs/report/{job}", _report_page),
    Route("/runs/report/{job}/progress", _report_state),
    Route("/runs/reports/{name}", _study_report),
    Route("/runs/started/{name}", _started),
    Route("/runs/started/{name}/stop", _stop, methods=["POST"]),
    Route("/runs/started/{name}/resume", _resume, methods=["POST"]),
    Route("/runs/show/{name:path}", _show),
    Route("/runs/state/{name:path}", _state),
    Route("/runs/figure/{figure}/{name:path}", _figure),
]
