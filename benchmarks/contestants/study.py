"""A whole study of the reference network over seeds, from the command to its table."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.tasks import Task

STUDY = """
[study]
name = "seeds"
question = "How far apart are seeds?"
seeds = {seeds}

[base]
network = "{network}"
epochs = {epochs}
"""


def main() -> None:
    """Run ``caelab study`` on ``options["seeds"]`` seeds, and print the seconds."""
    task = Task.from_arguments()
    seeds = list(range(task.seed, task.seed + task.options["seeds"]))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "study.toml")
        file.write_text(
            STUDY.format(seeds=seeds, network=task.network, epochs=task.epochs), encoding="utf-8"
        )
        size = [] if task.images is None else ["--train-size", str(task.images)]
        command = ["caelab", "study", str(file), "--runs", folder, "--data", task.data, *size]
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", *command], check=True, stdout=subprocess.DEVNULL)
    print(json.dumps({"command": time.perf_counter() - started, "data": task.data}))


if __name__ == "__main__":
    main()
