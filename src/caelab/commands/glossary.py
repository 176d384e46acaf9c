"""``caelab glossary``: explain terms of the field in plain words."""

import dataclasses
import textwrap

import click

from caelab.commands.help import documented_command
from caelab.commands.output import echo, json_option, print_json
from caelab.glossary import Entry, look_up, read_glossary


@documented_command("glossary", "caelab glossary", 'caelab glossary "receptive field"')
@click.argument("term", required=False)
@json_option
def command(term: str | None, as_json: bool) -> None:
    """Explain TERM in plain words, or list all terms."""
    entries = [look_up(term)] if term else list(read_glossary().values())
    if as_json:
        documents = [dataclasses.asdict(entry) for entry in entries]
        print_json(documents)
    elif term:
        echo(_explanation(entries[0]))
    else:
        # Not broken at hyphens, so that each term can be searched for in the output.
        echo(textwrap.fill(", ".join(entry.term for entry in entries), 80, break_on_hyphens=False))


def _explanation(entry: Entry) -> str:
    lines = [entry.term + (f" (also: {', '.join(entry.also)})" if entry.also else "")]
    lines.append(textwrap.fill(entry.text, 80, initial_indent="  ", subsequent_indent="  "))
    if entry.see:
        lines.append(f"  See also: {', '.join(entry.see)}.")
    return "\n".join(lines)
