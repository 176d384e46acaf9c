"""``caelab export``: write a model in ONNX format."""

from pathlib import Path

import click

from caelab.commands.help import documented_command
from caelab.commands.output import PATH, echo, json_option, print_json
from caelab.errors import InputError


@documented_command("export", "caelab export runs/unet unet.onnx")
@click.argument("model")
@click.argument("file", type=PATH)
@click.option("--force", is_flag=True, help="Overwrite FILE if it exists.")
@json_option
def command(model: str, file: Path, *, force: bool, as_json: bool) -> None:
    """Write MODEL (a shipped model, a run directory or a weights file) to FILE in ONNX format.

    The ONNX model takes any number of images of any size, with pixels in [0, 1]. The model includes
    the normalization, and the steps that turn the network's output into the image. Before FILE is
    written, the ONNX model's results are compared with PyTorch's for several sizes.

    \f

    Args:
        model: Shipped model, run directory or weights file.
        file: ONNX file to write.
        force: Replace the file if it exists.
        as_json: Print JSON.
    """
    from caelab.pictures.encode import refuse_existing
    from caelab.pictures.model_files import find_model

    # Wrong names are refused before PyTorch is imported, because the import takes seconds.
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
    size = file.stat().st_size
    if as_json:
        print_json(
            {"file": str(file), "network": card.network, "difference": difference, "bytes": size}
        )
        return
    echo(f"{file}: {size / 1e6:.2f} MB; largest difference from PyTorch {difference:.1g}")
