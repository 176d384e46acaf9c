"""``caelab export``: a model as ONNX."""

import json
from pathlib import Path

import click

from caelab.errors import InputError


@click.command("export")
@click.argument("model")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Overwrite what exists.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(model: str, file: Path, *, force: bool, as_json: bool) -> None:
    """Write MODEL (one that ships, a run or a weights file) to FILE, as ONNX.

    The graph takes any number of images in [0, 1] of any size; normalisation and what the output
    means are inside. Its results are compared with PyTorch's over several shapes before it is kept.
    """
    from caelab.pictures.encode import refuse_existing
    from caelab.pictures.model_files import find_model

    weights = find_model(model)
    if weights.suffix == ".onnx":
        raise InputError(f"{weights} is an ONNX file already.")
    if file.suffix != ".onnx":
        raise InputError(f"{file} should end in .onnx.")
    refuse_existing(file, force=force)

    import torch

    from caelab.models.weights_file import load_model
    from caelab.pictures.export import export_onnx

    network, card = load_model(weights, torch.device("cpu"))
    difference = export_onnx(network, file, card=card)
    if as_json:
        told = {
            "file": str(file),
            "network": card.network,
            "difference": difference,
            "bytes": file.stat().st_size,
        }
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    click.echo(
        f"{file}: {file.stat().st_size / 1e6:.2f} MB, differs from PyTorch by {difference:.1g} at"
        " most"
    )
