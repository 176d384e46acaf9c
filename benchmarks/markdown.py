"""Markdown tables of the results, as the documentation shows them.

``python -m benchmarks.markdown --into docs/benchmarks/comparison.md`` puts them there.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.benchmark import Benchmark, Column

RESULTS = Path(__file__).parent / "results"
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"


def table(benchmark: Benchmark, results: Mapping[str, Any]) -> str:
    """Return the results of a benchmark as Markdown: title, table, method and machine."""
    rows: Sequence[Mapping[str, Any]] = results["rows"]
    grouped = any(each["group"] for each in rows)
    lines = [f"**{benchmark.title}**", ""]
    lines += _line(
        [*(["", ""] if grouped else [""]), *(column.heading for column in benchmark.columns), "n"]
    )
    lines += ["|---" * (1 + grouped) + "|---:" * (len(benchmark.columns) + 1) + "|"]
    group = None
    for each in rows:
        heading = [each["group"] if each["group"] != group else ""] if grouped else []
        group = each["group"]
        lines += _line([*heading, each["label"], *_cells(benchmark.columns, each)])
    return "\n".join([*lines, "", f"{benchmark.about} {environment_line(results)}", ""])


def _line(cells: Sequence[str]) -> list[str]:
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"]


def _cells(columns: Sequence[Column], row: Mapping[str, Any]) -> list[str]:
    values = row["values"]
    if row["state"] != "measured":
        return [row["state"], *([""] * len(columns))]
    cells = []
    for column in columns:
        value = values.get(column.key)
        cell = column.write(value["median"]) if value else ""
        if value and column.spread and value["n"] > 1:
            cell += f" ({column.write(value['low'])}–{column.write(value['high'])})"
        cells.append(cell)
    return [*cells, str(max((value["n"] for value in values.values()), default=0))]


def environment_line(results: Mapping[str, Any]) -> str:
    """Return the machine, the versions and the number of rounds behind the results."""
    environment = results["environment"]
    versions = ", ".join(f"{name} {version}" for name, version in environment["versions"].items())
    device = environment["device"] if environment["device"] != "cpu" else "CPU"
    settings = results["settings"]
    remark = (
        f" Measured on at most {settings['images']:,} training images."
        if settings["images"]
        else ""
    )
    remark += " **Quick run: not for comparing.**" if settings["quick"] else ""
    return (
        f"Medians (lowest–highest) over n interleaved rounds. {device}: {environment['processor']},"
        f" {environment['cores']} cores; data: {', '.join(results['data']) or 'none'}; {versions};"
        f" {environment['started'][:10]}.{remark}"
    )


def all_tables(folder: Path) -> str:
    """Return the tables of all results in ``folder``."""
    from benchmarks.__main__ import BENCHMARKS

    files = [(each, folder / f"{each.name}.json") for each in BENCHMARKS]
    found = [
        (each, json.loads(file.read_text(encoding="utf-8")))
        for each, file in files
        if file.is_file()
    ]
    return "\n".join(table(each, results) for each, results in found)


def put_between_marks(text: str, tables: str) -> str:
    """Return ``text`` with everything between the two marks replaced by ``tables``.

    Raises:
        ValueError: A mark is missing or repeated, or they are in the wrong order.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in after:
        raise ValueError(f"the text should hold {BEGIN} and then {END}, once each")
    return f"{before}{BEGIN}\n{tables.strip()}\n{END}{after}"


def main() -> None:
    """Print the tables, or write them into a file between the marks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.markdown", description=main.__doc__)
    parser.add_argument(
        "--results", type=Path, default=RESULTS, help="the folder of results [%(default)s]"
    )
    parser.add_argument("--into", type=Path, help=f"a file that has {BEGIN} and {END}")
    options = parser.parse_args()
    tables = all_tables(options.results)
    if options.into is None:
        print(tables)
        return
    text = options.into.read_text(encoding="utf-8")
    options.into.write_text(put_between_marks(text, tables), encoding="utf-8")


if __name__ == "__main__":
    main()
