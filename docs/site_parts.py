"""The parts of the reference pages that are made from the code: each function returns Markdown."""

import html
import inspect
import json
import re
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import click

import caelab
from caelab.cli import SECTIONS
from caelab.cli import caelab as command_line
from caelab.commands.options import BOUNDS, flag_of
from caelab.degrade.kinds import DegradationKind
from caelab.experiments.config import PARAMETERS, RunConfig
from caelab.glossary import read_glossary
from caelab.metrics.image_metrics import METRICS
from caelab.models.targets import PredictionTarget
from caelab.networks.describe import describe
from caelab.networks.layers.base import ACTIVATIONS, LayerKind
from caelab.networks.parser import parse
from caelab.networks.presets import PRESETS
from caelab.training.config import KindName
from caelab.training.losses import Loss
from caelab.training.optimizers import OptimizerKind

ROOT = Path(__file__).parents[1]


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", r"\|").replace("\n", " ") for cell in line) + " |"
        for line in lines
    )


def command_line_part() -> str:
    """Return usage, explanation, options by group, and examples of every command."""
    parts = []
    for section, commands in SECTIONS.items():
        parts.append(f"## {section}")
        parts += [_command(name) for name in commands]
    return "\n\n".join(parts)


def _command(name: str) -> str:
    context = click.Context(command_line, info_name="caelab")
    command = command_line.get_command(context, name)
    assert command is not None
    inner = click.Context(command, info_name=name, parent=context)
    usage = " ".join(command.collect_usage_pieces(inner))
    lines = [f"### caelab {name}", "", f"```text\ncaelab {name} {usage}\n```", ""]
    lines += [_prose(inspect.cleandoc(command.help or "").split("\f")[0]), ""]
    groups: dict[str, list[tuple[str, str]]] = {}
    for option in command.get_params(inner):
        if isinstance(option, click.Argument):
            continue
        record = option.get_help_record(inner)
        if record is None:
            continue
        if not getattr(option, "help", None):
            raise ValueError(f"the option {record[0]} of caelab {name} has no description")
        groups.setdefault(getattr(option, "group", "Options"), []).append(record)
    for group, records in groups.items():
        rows = [(f"`{_plain(flags)}`", _prose(text)) for flags, text in records]
        lines += [f"**{group}**", "", table(["option", "meaning"], rows), ""]
    examples = "\n".join(command.examples)
    return "\n".join([*lines, f"```console\n{examples}\n```"])


def _plain(flags: str) -> str:
    return flags.replace("`", "")


def _prose(text: str) -> str:
    # Help is plain text: its stars, angle brackets and pipes are not markup.
    return html.escape(text, quote=False).replace("*", r"\*").replace("_", r"\_")


def layers_part() -> str:
    """Return the table of layers, from their registry."""
    rows = []
    for kind in LayerKind.registry.values():
        if " " in kind.name:
            continue  # such a layer is made when a network is built, and never typed
        rows.append((f"`{kind.usage()}`", _prose(kind.help), _number(kind)))
    return table(["layer", "what it computes", "N"], rows)


def _number(kind: type[LayerKind]) -> str:
    takes = kind.takes
    if takes is None:
        return ""
    if takes.decimal:
        return f"{takes.meaning}, 0 to below 1"
    default = f"; {takes.default} if left out" if takes.default else ""
    return f"{takes.meaning}, at least {takes.min}{default}"


def activations_part() -> str:
    """Return the names of the activations."""
    return ", ".join(f"`:{name}`" for name in ACTIVATIONS)


def presets_part() -> str:
    """Return the table of networks with a name."""
    rows = []
    for name, text in PRESETS.items():
        described = describe(parse(text), channels=1 if name.startswith("unet-") else 3)
        code = f"{described.code_size:,}" if described.code_size else "none"
        rows.append((f"`{name}`", f"`{text}`", code, f"{described.weights:,}"))
    return table(["name", "text", "code", "weights"], rows)


def configuration_part() -> str:
    """Return a table of parameters for each table of the configuration."""
    top = [(name, each) for name, each in PARAMETERS.items() if len(each.path) == 1]
    lines = ["## At the top", "", _parameters(top)]
    for name, field in RunConfig.model_fields.items():
        inner = [(short, each) for short, each in PARAMETERS.items() if each.path[0] == name]
        if len(inner[0][1].path) == 1:
            continue
        assert isinstance(field.annotation, type)
        summary = (field.annotation.__doc__ or "").strip().splitlines()[0]
        lines += ["", f"## [{name}]", "", summary, "", _parameters(inner)]
    return "\n".join(lines)


def _parameters(parameters: Iterable[tuple[str, Any]]) -> str:
    rows = []
    for short, parameter in parameters:
        field = parameter.field
        if not field.description:
            raise ValueError(f"the parameter {parameter.dotted} has no description")
        bounds = [
            f"{words} {getattr(constraint, bound)}"
            for constraint in field.metadata
            for bound, words in BOUNDS.items()
            if hasattr(constraint, bound)
        ]
        values = _values(field)
        default = "" if field.default is None else field.default
        flag = "argument `NETWORK`" if short == "network" else f"`{flag_of(short)}`"
        flag = "none" if short == "start_fingerprint" else flag
        rows.append(
            (
                f"`{parameter.dotted}`",
                f"`{str(default).lower() if isinstance(default, bool) else default}`"
                if default != ""
                else "none",
                _prose("; ".join([*values, *bounds])),
                _prose(field.description),
                flag,
            )
        )
    return table(["key", "default", "values", "meaning", "option"], rows)


def _values(field: Any) -> list[str]:
    registries = [each.registry for each in field.metadata if isinstance(each, KindName)]
    if registries:
        return [", ".join(registries[0])]
    kind = field.annotation
    while typing.get_origin(kind) not in (None, Literal):
        kind = typing.get_args(kind)[0]
    if typing.get_origin(kind) is Literal:
        return [", ".join(typing.get_args(kind))]
    words: Mapping[Any, str] = {int: "whole number", float: "number", bool: "true, false"}
    return [words[kind]] if kind in words else ["text"]


def _kinds(registry: Mapping[str, Any], write: Callable[[Any], str]) -> str:
    rows = [(f"`{write(kind)}`", _prose(kind.help)) for kind in registry.values()]
    return table(["name", "what it is"], rows)


def degradations_part() -> str:
    """Return the table of degradations."""
    rows = []
    for kind in DegradationKind.registry.values():
        strength = kind.strength
        number = f"{strength.unit}, {strength.low:g} to {strength.high:g}" if strength else ""
        rows.append((f"`{kind.example()}`", _prose(kind.help), _prose(number)))
    return table(["example", "what it does", "number"], rows)


def losses_part() -> str:
    """Return the table of losses."""
    return _kinds(Loss.registry, lambda kind: kind.name)


def optimizers_part() -> str:
    """Return the table of optimizers."""
    return _kinds(OptimizerKind.registry, lambda kind: kind.name)


def targets_part() -> str:
    """Return the table of prediction targets."""
    rows = [(f"`{kind.name}`", _prose(kind.summary)) for kind in PredictionTarget.registry.values()]
    return table(["name", "what it is"], rows)


def metrics_part() -> str:
    """Return the table of metrics."""
    rows = [
        (f"`{name}`", each.unit or "–", each.better, _prose(each.definition), each.source or "–")
        for name, each in METRICS.items()
    ]
    return table(["key", "unit", "better", "definition", "source"], rows)


def glossary_part() -> str:
    """Return the glossary; every term is a heading, so that the search finds it."""
    lines = []
    for entry in read_glossary().values():
        lines += [f"## {entry.term}", ""]
        if entry.also:
            lines += [f"*Also:* {', '.join(entry.also)}.", ""]
        lines += [_prose(entry.text.strip()), ""]
        if entry.see:
            links = ", ".join(f"[{term}](#{_slug(term)})" for term in entry.see)
            lines += [f"*See also:* {links}.", ""]
    return "\n".join(lines)


def _slug(heading: str) -> str:
    from markdown.extensions.toc import slugify

    return str(slugify(heading, "-"))


def python_part() -> str:
    """Return directives that insert the docstrings of all public names, in alphabetical order."""
    lines = []
    for name in sorted(caelab.__all__, key=str.casefold):
        kind = getattr(caelab, name)
        if not inspect.getdoc(kind):
            raise ValueError(f"caelab.{name} has no docstring")
        lines += [f"::: {kind.__module__}.{kind.__qualname__}", ""]
    return "\n".join(lines)


def results_schema_part() -> str:
    """Return tables that describe ``results.json``, made from its schema."""
    schema = json.loads((ROOT / "docs/results-schema.json").read_text(encoding="utf-8"))
    parts = [_schema_table("results.json", schema)]
    parts += [_schema_table(name, each) for name, each in sorted(schema["$defs"].items())]
    return "\n\n".join(parts)


def _schema_table(name: str, schema: Mapping[str, Any]) -> str:
    summary, _, rest = schema.get("description", "").partition("\n")
    lines = [f"## {name}", "", _prose(summary), ""]
    if "enum" in schema:
        return "\n".join([*lines, "Values: " + ", ".join(f"`{each}`" for each in schema["enum"])])
    meanings = _attributes(rest)
    required = schema.get("required", [])
    rows = [
        (
            f"`{key}`",
            _schema_type(each) + ("" if key in required else ", may be missing"),
            _prose(meanings.get(key, each.get("description", ""))),
        )
        for key, each in schema.get("properties", {}).items()
    ]
    return "\n".join([*lines, table(["key", "type", "meaning"], rows)])


def _attributes(docstring: str) -> dict[str, str]:
    """Return the entries of a docstring's ``Attributes:``."""
    _, _, section = docstring.partition("Attributes:\n")
    entries = re.split(r"^ {4}(?=\w+: )", section, flags=re.MULTILINE)
    pairs = (entry.partition(": ") for entry in entries if ": " in entry)
    return {name: " ".join(text.replace("``", "`").split()) for name, _, text in pairs}


def _schema_type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(map(_schema_type, schema["anyOf"]))
    kind = schema.get("type", "any")
    if isinstance(kind, list):
        return " or ".join(kind)
    if kind == "array" and "items" in schema:
        return f"list of {_schema_type(schema['items'])}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return f"object of {_schema_type(schema['additionalProperties'])}"
    return str(kind)


PARTS: Mapping[str, Callable[[], str]] = {
    "activations": activations_part,
    "command-line": command_line_part,
    "configuration": configuration_part,
    "degradations": degradations_part,
    "glossary": glossary_part,
    "layers": layers_part,
    "losses": losses_part,
    "metrics": metrics_part,
    "optimizers": optimizers_part,
    "presets": presets_part,
    "python": python_part,
    "results-schema": results_schema_part,
    "targets": targets_part,
}
"""Functions of all parts, by the names that pages use."""
