"""Coloring with the shipped model: the network alone, or the command on files."""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from skimage import data

from benchmarks.contestants.inferring import rate
from benchmarks.tasks import Task
from caelab.experiments.environment import peak_memory_bytes

MODEL = "colorize"


def main() -> None:
    """Measure and print the rates."""
    task = Task.from_arguments()
    if task.options["job"] == "network":
        print(json.dumps(_network(task)))
        return
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder) / "given"
        given.mkdir()
        photograph = Image.fromarray(data.astronaut())  # type: ignore[no-untyped-call]
        if task.options["job"] == "folder":
            _crops(photograph, given, count=task.options["count"], seed=task.seed)
        else:
            width = task.options["width"]
            photograph.resize((width, width * 3 // 4), Image.Resampling.BICUBIC).save(
                given / "a.jpg", quality=92
            )
        print(json.dumps(_command(given, Path(folder) / "made", runtime=task.options["runtime"])))


def _network(task: Task) -> dict[str, Any]:
    from caelab.pictures.open_model import open_model

    model = open_model(MODEL, runtime=task.options["runtime"])
    images = np.random.default_rng(task.seed).random((task.batch or 512, 1, 32, 32), np.float32)
    model(images)
    return {
        "images_per_second": rate(model, [images], task.options["seconds"]),
        "peak_memory": peak_memory_bytes() or 0,
    }


def _crops(photograph: Image.Image, folder: Path, *, count: int, seed: int) -> None:
    corners = np.random.default_rng(seed).integers(0, min(photograph.size) - 32, (count, 2))
    for number, (left, top) in enumerate(corners.tolist()):
        photograph.crop((left, top, left + 32, top + 32)).save(folder / f"{number:04}.png")


def _command(given: Path, made: Path, *, runtime: str) -> dict[str, Any]:
    count = len(list(given.iterdir()))
    command = [
        sys.executable,
        "-m",
        "caelab",
        "colorize",
        str(given),
        "-o",
        str(made),
        "--runtime",
        runtime,
    ]
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - started
    if len(list(made.iterdir())) != count:
        raise RuntimeError(f"of {count} pictures {len(list(made.iterdir()))} were made")
    return {
        "seconds": seconds,
        "images_per_second": count / seconds,
        # No less than this process itself, which is far smaller.
        "peak_memory": (
            resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
            * (1 if sys.platform == "darwin" else 1024)
        ),
    }


if __name__ == "__main__":
    main()
