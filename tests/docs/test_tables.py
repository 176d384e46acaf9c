"""The numbers in the tables of the documentation are those of their results files."""

import csv
import json
import re
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from benchmarks.markdown import RESULTS, all_tables, put_between_marks
from scipy import stats

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

METRICS = {
    "MSE": "mse",
    "test MSE": "mse",
    "CIFAR-10": "mse",
    "PSNR, dB": "psnr",
    "mean PSNR, dB": "psnr",
    "PSNR of mean MSE, dB": "psnr_of_mean",
    "SSIM": "ssim",
    "MAE, %": "mae",
    "chroma MSE": "chroma_mse",
    "CIEDE2000": "ciede2000",
    "within 5%, %": "accuracy5",
    "colorfulness": "colorfulness",
}
"""Heading of a column and the metric that it shows."""


def tables(text: str) -> Iterator[list[dict[str, str]]]:
    """Yield the Markdown tables of a text, a row as its cells by heading."""
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        split = [
            [cell.strip().strip("*") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            for line in block.splitlines()
        ]
        yield [dict(zip(split[0], row, strict=True)) for row in split[2:]]


def shown(cell: str, value: float) -> bool:
    """Return whether a cell is the value, rounded to the cell's digits."""
    decimals = len(cell.partition(".")[2])
    return cell == f"{value:,.{decimals}f}"


def rows_with_a_source(page: str) -> Iterator[tuple[dict[str, str], Path, str]]:
    """Yield rows whose column ``source`` links to a file, with the file and the anchor."""
    for rows in tables((DOCS / page).read_text(encoding="utf-8")):
        for row in rows:
            link = re.search(r"\]\(([^)#]+\.json)#([^)]+)\)", row.get("source", ""))
            if link:
                yield row, (DOCS / page).parent / link[1], link[2]


def measured(file: Path, anchor: str) -> Mapping[str, Any]:
    """Return the metrics that a link to a card or to a run of ``results.json`` names."""
    content = json.loads(file.read_text(encoding="utf-8"))
    if "runs" in content:
        metrics: Mapping[str, Any] = content["runs"][anchor]["result"]["test"]
        return metrics
    baselines = {name.replace(" ", "-"): each for name, each in content["baselines"].items()}
    return {"test": content["test"], **baselines}[anchor]


@pytest.mark.parametrize(
    "page",
    ["results/reference-network.md", "results/codes.md", "results/colorization.md"],
)
def test_rows_show_the_numbers_of_their_source(page: str) -> None:
    compared = 0
    for row, file, anchor in rows_with_a_source(page):
        for heading, metric in METRICS.items():
            if row.get(heading):
                value = measured(file, anchor)[metric]
                assert shown(row[heading], value), (row, heading, value)
                compared += 1
    assert compared >= 6


def test_small_codes_stand_beside_the_pca_of_their_card() -> None:
    for row, file, _ in rows_with_a_source("results/codes.md"):
        size = row["code"].replace(",", "")
        assert shown(row["its PCA"], measured(file, f"pca-{size}")["mse"])


def test_the_restorations_are_those_of_their_results() -> None:
    content = json.loads((DOCS / "results/restore/results.json").read_text(encoding="utf-8"))
    found = defaultdict(list)
    for table in content["tables"]:
        if "SSIM" in table["columns"]:
            for degradation, _, *numbers in table["rows"]:
                found[degradation].append(numbers)
    (rows,) = (
        each
        for each in tables((DOCS / "results/restoration.md").read_text(encoding="utf-8"))
        if "SSIM" in each[0]
    )
    assert len(rows) == 20
    for row in rows:
        cells = row["PSNR, dB"], row["SSIM"], row["MSE"]
        assert any(
            all(map(shown, cells, numbers)) for numbers in found[row["degradation"].strip("`")]
        ), row


def test_architectures_are_those_of_their_results() -> None:
    errors = defaultdict(list)
    with (DOCS / "results/architectures/results.csv").open(encoding="utf-8") as file:
        runs = list(csv.DictReader(file))
    for run in runs:
        errors[run["label"]].append(float(run["test_mse"]))
    (rows,) = (
        each
        for each in tables((DOCS / "results/architectures.md").read_text(encoding="utf-8"))
        if "label" in each[0]
    )
    assert len(rows) == len(errors)
    for row in rows:
        values = errors[row["label"]]
        half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
        mean, _, width = row["test MSE"].partition(" ± ")
        assert shown(mean, statistics.mean(values)), row
        assert shown(width, half), row
        assert row["n"] == str(len(values))


def test_the_tables_of_benchmarks_are_those_of_their_results() -> None:
    text = (DOCS / "benchmarks/comparison.md").read_text(encoding="utf-8")
    assert put_between_marks(text, all_tables(RESULTS)) == text


def test_the_answers_of_benchmarks_are_in_their_tables() -> None:
    shown_there = set(
        re.findall(r"[\d.,]*\d", (DOCS / "benchmarks/comparison.md").read_text("utf-8"))
    )
    (rows,) = (
        each
        for each in tables((DOCS / "benchmarks/index.md").read_text(encoding="utf-8"))
        if "answer" in each[0]
    )
    assert len(rows) == 8
    for row in rows:
        answer = set(re.findall(r"[\d.,]*\d", row["answer"]))
        assert answer
        assert answer <= shown_there, row


def test_the_readme_shows_six_results_with_their_sources() -> None:
    (rows,) = (
        each
        for each in tables((ROOT / "README.md").read_text(encoding="utf-8"))
        if "source" in each[0]
    )
    assert len(rows) == 6
    pages = [
        "results/codes",
        "results/colorization",
        "results/restoration",
        "benchmarks/comparison",
    ]
    measured_there = [
        float(number.replace(",", ""))
        for page in pages
        for number in re.findall(r"\d[\d.,]*\d", (DOCS / f"{page}.md").read_text("utf-8"))
        if number.count(".") == 1
    ]
    for row in rows:
        (source,) = re.findall(r"\]\(([^)]+)\)", row["source"])
        baseline = re.findall(r"[\d.]+\d", row["baseline"])[-1]
        assert any(shown(baseline, value) for value in measured_there), row
        text = (ROOT / source).read_text(encoding="utf-8")
        if source.endswith(".csv"):
            recipe = re.findall(r"\[([\w-]+)\]", row["recipe"])[0]
            values = [
                float(each["test_mse"])
                for each in csv.DictReader(text.splitlines())
                if each["recipe"] == recipe
            ]
            assert len(values) == int(row["n"])
            assert shown(row["result"].partition(" ± ")[0], statistics.mean(values))
        elif "weights" in source:
            test = json.loads(text)["test"]
            assert any(
                shown(row["result"], test.get(name, -1)) for name in ("mse", "psnr", "ciede2000")
            )
        else:
            (median,) = (
                each["values"]["seconds"]["median"]
                for each in json.loads(text)["rows"]
                if each["label"] == "**caelab**, its defaults" and each["group"] == "reference"
            )
            assert shown(row["result"], median)
