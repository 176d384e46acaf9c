"""The reference network's test error over seeds, as a Markdown table.

``python -m benchmarks.reference --seeds 5 recipes/reference.toml`` trains each recipe once per seed
with the package itself; finished runs are reused.
"""

import argparse
import statistics
from pathlib import Path

import scipy.stats

from caelab.commands.train import read_options
from caelab.experiments.config import make_config
from caelab.experiments.run import run
from caelab.experiments.run_directory import RunDirectory, read_config
from caelab.files import write_csv


def interval(values: list[float]) -> str:
    """Return the mean with the half width of its 95% interval (Student's t), or the value alone."""
    mean = statistics.mean(values)
    if len(values) < 2:
        return f"{mean:.5f}"
    half = scipy.stats.t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / len(values) ** 0.5
    return f"{mean:.5f} ± {half:.5f}"


def row(recipe: Path, directories: list[RunDirectory]) -> str:
    """Return a table row for one recipe's runs."""
    results = [directory.read(directory.result) for directory in directories]
    errors = [result["test"]["mse"] for result in results]
    seconds = statistics.median(result["seconds_per_epoch"] for result in results)
    memory = max(result["peak_memory_bytes"] or 0 for result in results) / 1e6
    spread = f"{min(errors):.5f}–{max(errors):.5f}"
    epochs = results[0]["epochs"]
    return (
        f"| `{recipe}` | {epochs} | {len(errors)} | {interval(errors)} | {spread} | {seconds:.1f} |"
        f" {memory:.0f} |"
    )


COLUMNS = ("seed", "epochs", "best_epoch", "validation_mse", "seconds_per_epoch")
"""Keys of a result that the CSV file holds, besides recipe, run, test error and environment."""


def write_results(file: Path, runs: dict[str, list[RunDirectory]]) -> None:
    """Write a row for each run, with its errors and where it was measured.

    Args:
        file: CSV file.
        runs: Runs by the name of their recipe.
    """
    told = ("processor", "threads", "torch", "caelab", "commit")
    rows = []
    for recipe, directories in runs.items():
        for directory in directories:
            result = directory.read_result()
            result["seed"] = read_config(directory.path).seed
            environment = directory.read(directory.environment)
            numbers = [result[name] for name in COLUMNS]
            test = [result["test"][name] for name in ("mse", "psnr", "n")]
            rows.append([recipe, *numbers, *test, *(environment[name] for name in told)])
    write_csv(file, ["recipe", *COLUMNS, "test_mse", "test_psnr", "test_images", *told], rows)


def main() -> None:
    """Train the recipes, and print the table and the machine."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipes", nargs="+", type=Path)
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0 … N − 1")
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--csv", type=Path, help="file for a row of each run")
    given = parser.parse_args()

    lines, runs = [], {}
    for recipe in given.recipes:
        configs = [
            make_config(read_options(recipe)).replace(data=given.data, seed=seed)
            for seed in range(given.seeds)
        ]
        directories = [run(config, runs=given.runs) for config in configs]
        runs[recipe.stem] = directories
        lines.append(row(recipe, directories))
    print(
        "| recipe | epochs | seeds | test MSE, mean ± 95% | range | s/epoch, median | peak memory,"
        " MB |"
    )
    print("|---|---|---|---|---|---|---|")
    print("\n".join(lines))
    if given.csv:
        write_results(given.csv, runs)
    last = directories[-1]
    baselines = last.read(last.result)["baselines"]
    print(
        "\nPCA: "
        + ", ".join(f"{name[4:]} numbers {errors['mse']:.6f}" for name, errors in baselines.items())
    )
    told = last.read(last.environment)
    names = ("device", "processor", "threads", "torch", "python", "caelab", "commit")
    print("Measured on " + ", ".join(f"{name} {told[name]}" for name in names))


if __name__ == "__main__":
    main()
