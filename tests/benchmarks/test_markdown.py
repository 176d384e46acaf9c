from typing import Any

import pytest
from benchmarks.benchmark import Benchmark, Column, row
from benchmarks.markdown import BEGIN, END, put_between_marks, table
from benchmarks.tasks import Contestant

BENCHMARK = Benchmark(
    name="some",
    title="Some title",
    about="How it was done.",
    rounds=3,
    contestants=lambda _: (),
    columns=(
        Column("s/epoch", "seconds", "{:.1f}".format, spread=True),
        Column("weights", "weights", "{:.0f}".format),
    ),
)


def results(rows: list[dict[str, Any]]) -> dict[str, Any]:
    environment = {
        "versions": {"caelab": "1.0", "torch": "2.9"},
        "device": "cpu",
        "processor": "Chip 3000",
        "cores": 2,
        "started": "2026-01-02T03:04:05+00:00",
    }
    return {
        "environment": environment,
        "settings": {"quick": False, "images": None},
        "data": ["noise"],
        "rows": rows,
    }


def enter(name: str, group: str, *answers: dict[str, Any]) -> dict[str, Any]:
    return row(Contestant(name=name, label=f"the {name}", group=group, arguments=()), answers)


def test_table() -> None:
    rows = [
        enter(
            "a",
            "small",
            {"seconds": 1.0, "weights": 7},
            {"seconds": 3.0, "weights": 7},
            {"seconds": 2.0},
        ),
        enter("b", "small", {"missing": "keras, jax"}),
        enter("c|d", "large", {"seconds": 2.0, "weights": 9}),
    ]
    lines = table(BENCHMARK, results(rows)).splitlines()
    assert lines[:7] == [
        "**Some title**",
        "",
        "|  |  | s/epoch | weights | n |",
        "|---|---|---:|---:|---:|",
        "| small | the a | 2.0 (1.0–3.0) |  | 3 |",
        "|  | the b | missing: keras, jax |  |  |",
        "| large | the c\\|d | 2.0 | 9 | 1 |",
    ]
    assert lines[-1].startswith("How it was done. Medians (lowest–highest)")
    assert "CPU: Chip 3000, 2 cores; data: noise; caelab 1.0, torch 2.9; 2026-01-02." in lines[-1]


def test_what_was_not_measured_in_full_is_marked() -> None:
    quick = {
        **results([enter("a", "", {"seconds": 1.0})]),
        "settings": {"quick": True, "images": 6000},
    }
    assert (
        table(BENCHMARK, quick)
        .strip()
        .endswith("Measured on at most 6,000 training images. **Quick run: not for comparing.**")
    )


def test_put_between_marks_replaces_what_was_there_and_again() -> None:
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    once = put_between_marks(text, "new table\n")
    assert once == f"before\n{BEGIN}\nnew table\n{END}\nafter\n"
    assert put_between_marks(once, "new table\n") == once


@pytest.mark.parametrize(
    "text", ["", BEGIN, f"{END} {BEGIN}", f"{BEGIN} {END} {END}", f"{BEGIN} {BEGIN} {END}"]
)
def test_put_between_marks_wants_both_marks_once(text: str) -> None:
    with pytest.raises(ValueError, match="once each"):
        put_between_marks(text, "")
