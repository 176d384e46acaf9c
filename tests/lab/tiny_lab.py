"""A lab of seconds with the engine that users have: ``python tiny_lab.py`` in its folder."""

from pathlib import Path

from caelab.experiments.config import RunConfig
from caelab.experiments.engines.processes import AutoEngine
from caelab.experiments.engines.timing import NetworkTimer
from caelab.lab import studies
from caelab.lab.budgets import Budget
from caelab.lab.runner import plan_lab, run_lab
from caelab.report.report import write_report

RECIPE = """
[study]
question = "Which is better?"
[base]
network = "reference"
[networks]
small = "conv4 pool conv2 | up conv3"
wide = "conv24 pool conv2 | up conv3"
"""

BUDGET = Budget(
    name="tiny",
    minutes=1,
    epochs=3,
    limit=512,
    seeds=(0, 1, 2),
    color_epochs=2,
    ideas=("best network, RGB", "best network, chroma"),
)


def main() -> None:
    """Run the lab in this folder and write its report."""
    Path("recipe.toml").write_text(RECIPE)
    studies.recipe_file = lambda _: Path("recipe.toml")
    # What is faster on a busy machine differs from one moment to the next.
    NetworkTimer.side_by_side = lambda *_: True  # type: ignore[method-assign,assignment]
    base = RunConfig().replace(data="photos", size=16, batch_size=32)
    progress = plan_lab(base, BUDGET, engine=AutoEngine(), runs=Path("runs"))
    for _ in run_lab(progress, out=Path("lab")):
        pass
    write_report([Path("lab")], out=Path("lab"), bitmaps=False)


if __name__ == "__main__":
    main()
