"""Rounds: every contestant has its turn, then all again; results and table are written."""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.benchmark import Benchmark, Options, row
from benchmarks.markdown import RESULTS, table
from benchmarks.processes import Answer, measure
from benchmarks.tasks import Contestant
from caelab.files import write_text

PEERS = ("keras", "tensorflow", "tensorflow-cpu", "jax", "lightning")


def run(benchmark: Benchmark, options: Options) -> Iterator[dict[str, Any]]:
    """Measure a benchmark; yield all results after every round, so that a run can be cut short."""
    chosen = [
        each
        for each in benchmark.contestants(options)
        if not options.only or any(word in each.name for word in options.only)
    ]
    rounds = options.rounds or (1 if options.quick else benchmark.rounds)
    answers: dict[str, list[Answer]] = {each.name: [] for each in chosen}
    loads = []
    for turn in range(rounds if chosen else 0):
        loads.append(os.getloadavg()[0])
        answered: dict[str, Answer] = {}
        for each in _turned(chosen, turn):
            answered[each.name] = answer = measure(_seeded(each, turn))
            _say(benchmark, turn, rounds, each, answer)
        benchmark.derive(answered, chosen)
        for name, answer in answered.items():
            answers[name].append(answer)
        yield {
            "benchmark": benchmark.name,
            "environment": environment(),
            "settings": {**asdict(options), "rounds": rounds, "load_before_rounds": list(loads)},
            "data": sorted(
                {str(each["data"]) for said in answers.values() for each in said if "data" in each}
            ),
            "rows": [row(each, answers[each.name]) for each in chosen],
        }


def _turned(contestants: Sequence[Contestant], turn: int) -> list[Contestant]:
    """Rotate the contestants, so that none is always first or always after the same one."""
    start = turn * 2 % max(1, len(contestants))
    return [*contestants[start:], *contestants[:start]]


def _seeded(contestant: Contestant, turn: int) -> Contestant:
    """Give each round its own seed."""
    return (
        replace(contestant, task=replace(contestant.task, seed=turn))
        if contestant.task
        else contestant
    )


def _say(
    benchmark: Benchmark, turn: int, rounds: int, contestant: Contestant, answer: Answer
) -> None:
    brief = ", ".join(
        f"{key} {value:.4g}" for key, value in answer.items() if isinstance(value, int | float)
    )
    brief = brief or ", ".join(f"{key}: {value}" for key, value in answer.items())
    print(
        f"{benchmark.name} {turn + 1}/{rounds}  {contestant.group} {contestant.label}: {brief}",
        file=sys.stderr,
    )


def environment() -> dict[str, Any]:
    """Return the device and the versions of all libraries that take part."""
    import torch

    from caelab.device import choose_device
    from caelab.experiments.environment import describe_environment

    described = describe_environment(choose_device("auto"), torch.float32)
    del described["precision"]  # every contestant has its own
    versions = {name: described.pop(name) for name in ("caelab", "python", "torch", "numpy")}
    for peer in PEERS:
        try:
            versions[peer] = metadata.version(peer)
        except metadata.PackageNotFoundError:
            continue
    return {**described, "versions": versions}


def read_options(description: str) -> tuple[Options, Path]:
    """Read the command-line options that all benchmarks share."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="few images, one round: only to see that it works"
    )
    parser.add_argument("--rounds", type=int, help="turns of every contestant")
    parser.add_argument("--images", type=int, help="training images at most")
    parser.add_argument(
        "--data", default="cifar10", help="as for caelab train, or synthetic [%(default)s]"
    )
    parser.add_argument(
        "--only", nargs="+", default=[], help="names of contestants, or parts of them"
    )
    parser.add_argument(
        "--out", type=Path, help="folder of the results [benchmarks/results, or its quick/]"
    )
    given = parser.parse_args()
    options = Options(
        quick=given.quick,
        rounds=given.rounds,
        images=given.images,
        data=given.data,
        only=tuple(given.only),
    )
    return options, given.out or (RESULTS / "quick" if given.quick else RESULTS)


def main(benchmarks: Sequence[Benchmark], description: str) -> None:
    """Measure, save and print benchmarks; exit with 1 if a contestant that is installed failed."""
    options, folder = read_options(description)
    folder.mkdir(parents=True, exist_ok=True)
    failed = False
    for benchmark in benchmarks:
        results: dict[str, Any] = {"rows": []}
        for results in run(benchmark, options):
            text = json.dumps(results, indent=1, ensure_ascii=False)
            write_text(folder / f"{benchmark.name}.json", text + "\n")
        if results["rows"]:
            print(table(benchmark, results), flush=True)
        failed = failed or any(each["state"].startswith("failed") for each in results["rows"])
    sys.exit(int(failed))
