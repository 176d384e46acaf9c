"""First parts of the report: the main results, the images, the environment, and the command."""

from collections.abc import Sequence
from typing import Any

from caelab.report.architectures import Analysis
from caelab.report.document import Part
from caelab.report.run_reader import FinishedRun, groups, over_seeds


def head_part(
    lab: dict[str, Any],
    reconstructing: Sequence[Sequence[FinishedRun]],
    analyses: Sequence[Analysis],
    colorizing: Sequence[FinishedRun],
) -> Part:
    """Return the title and the main results.

    Args:
        lab: Content of ``lab.json``; empty without a lab.
        reconstructing: Groups of reconstruction runs, the main one first; may be empty.
        analyses: Analyses of the studies.
        colorizing: Runs that color gray images.
    """
    context: dict[str, Any] = {"lab": lab, "analyses": analyses}
    if reconstructing:
        group = reconstructing[0]
        context["network"] = group[0].description
        context["images"] = group[0].result["test"]["n"]
        context["mse"] = over_seeds(group)
    if colorizing:
        best = min(groups(colorizing), key=lambda group: group[0].result["validation_mse"])
        context["colors"] = over_seeds(best)
        context["gray"] = best[0].result["baselines"].get("gray copy", {}).get("mse")
    return Part("report", context, level=0)


def data_part(
    runs: Sequence[FinishedRun],
    main: FinishedRun,
    lab: dict[str, Any],
    command: str,
    problems: Sequence[str],
) -> Part:
    """Return the part about data, environment, time and command.

    Args:
        runs: All runs of the report.
        main: Run whose images and environment are shown.
        lab: Content of ``lab.json``; empty without a lab.
        command: Command that repeats the report, where the lab has none.
        problems: What is missing.
    """
    alike = [run for run in runs if run.images == main.images]
    counts = {
        name: [run.result["images"][part] for run in alike]
        for name, part in (
            ("training", "train"),
            ("validation", "validation"),
            ("test", "test"),
        )
    }
    context = {
        "budget": lab.get("budget"),
        "cuts": lab.get("cuts"),
        "source": main.source,
        "note": lab.get("data", {}).get("note") or main.source.get("note"),
        "others": sorted({run.source["name"] for run in runs if run.images != main.images}),
        "problems": problems,
        "images": main.config.data,
        "counts": {name: (min(values), max(values)) for name, values in counts.items()},
        "normalization": (
            main.result["normalization"] if main.config.data.normalize == "standardize" else None
        ),
        "environment": main.environment,
        "seconds": sum(float(run.result.get("seconds") or 0) for run in runs),
        "runs": len(runs),
        "run": main.name,
        "differing": [
            name
            for name in ("caelab", "device", "processor", "threads", "torch")
            if len({str(run.environment.get(name)) for run in runs}) > 1
        ],
        "command": lab.get("command") or command,
    }
    return Part("data", context)
