"""``caelab recipes``: list the runs, studies and searches that come with caelab."""

import dataclasses

import click

from caelab.commands.help import documented_command
from caelab.commands.output import json_option, print_json, table


@documented_command("recipes", "caelab recipes", "caelab recipes reference-long")
@click.argument("name", required=False)
@json_option
def command(name: str | None, as_json: bool) -> None:
    """List the recipes that come with caelab, or print the TOML file of the recipe NAME.

    Other commands accept the name of a recipe: `caelab train --config NAME`, `caelab study NAME`,
    `caelab search NAME`. To change what no option can change, save the printed file and edit it.

    \f

    Args:
        name: Name of a recipe; ``None`` lists all.
        as_json: Print JSON.
    """
    from caelab.experiments.recipes import read_recipes, recipe_file

    if name is not None:
        click.echo(recipe_file(name).read_text(encoding="utf-8"), nl=False)
        return
    recipes = list(read_recipes())
    if as_json:
        print_json([{**dataclasses.asdict(each), "file": str(each.file)} for each in recipes])
    else:
        columns = {"": "{0.name}", "kind": "{0.kind}", "what it is": "{0.summary}"}
        click.echo(table([(each,) for each in recipes], columns))
