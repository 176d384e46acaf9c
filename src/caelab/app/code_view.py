"""The view "Code": an image through a model, and what each part of its code does."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from caelab.app.data_url import enlarge, png_url
from caelab.app.fields import read_number
from caelab.app.jobs import Jobs
from caelab.app.pages import render
from caelab.app.restore_options import models_for
from caelab.app.uploads import max_pixels, preview, save
from caelab.baselines.pca import PrincipalComponents, suitable_sizes
from caelab.data.builtin_photos import load_photos
from caelab.data.device_images import DeviceImages
from caelab.data.folder import crop_center
from caelab.data.image_set import TEST, TRAIN
from caelab.errors import InputError, printable
from caelab.models.code_changes import interpolate, quantize, scale_channel, without_channels
from caelab.pictures.load import Model, load
from caelab.pictures.read import read_picture

Floats = NDArray[np.float32]

EXAMPLES = 24
"""Number of built-in images to choose from."""

MOST_MAPS = 256
"""Largest number of maps of a code that the page shows."""

KEPT_SIDE = 1024
"""Longest side, in pixels, of the copy that is kept of an uploaded picture."""

UPLOADED = "own-"
"""Beginning of the name of an uploaded image; the rest is the name of its job."""


@dataclass(frozen=True, kw_only=True)
class CodeMap:
    """A channel of a code.

    Attributes:
        image: URL of a picture of the channel, from black for the smallest number to white for the
            largest. ``None`` if the channel is a single number, which the page shows as a bar.
        bar: Left end and width of the bar, in percent, with zero in the middle.
        mean: Mean of the channel's numbers.
        deviation: Standard deviation of the channel's numbers.
        on: True if the channel is used, and not switched off.
    """

    image: str | None
    bar: tuple[float, float]
    mean: float
    deviation: float
    on: bool


def look(query: Mapping[str, str], off: list[int], runs: Path, jobs: Jobs) -> dict[str, Any]:
    """Encode an image, change its code, decode it, and return the values that the page shows.

    Args:
        query: Texts of the form's fields: names of ``model`` and ``image``; ``other``, an image
            whose code is mixed in, with ``mix`` percent; ``channel`` and a ``factor`` for it;
            ``bits`` of each number; ``pca`` to compare with PCA.
        off: Channels that are switched off.
        runs: Folder of runs.
        jobs: Jobs of the server, which include uploaded images.

    Raises:
        InputError: A value is wrong, or the model has no code.
    """
    models = models_for("reconstruct", runs)
    name = query.get("model") or "best-128"
    if name not in models and str(runs / name) in models:
        name = str(runs / name)
    if name not in models:
        raise InputError(f"there is no model {printable(name)!r} with a code.")
    model = _opened(name)
    image = _image(query.get("image") or "0", model, jobs)
    original = model.encode(image)
    code = original
    if query.get("other"):
        share = _number(query, "mix", 50, 0, 100) / 100
        code = interpolate(code, model.encode(_image(query["other"], model, jobs)), share)
    channel = int(_number(query, "channel", 0, 0, code.shape[1] - 1))
    factor = _number(query, "factor", 1, -4, 4)
    if factor != 1:
        code = scale_channel(code, channel, factor)
    code = without_channels(code, off)
    bits = int(_number(query, "bits", 0, 0, 16))
    if bits:
        code = quantize(code, bits)
    output = model.decode(code)[..., : image.shape[2], : image.shape[3]]
    outputs = {"Input": image, "Output": output}
    if query.get("pca"):
        outputs["PCA with as many numbers"] = _linear_twin(image, original[0].size)
    return {
        "models": models, "query": query, "name": name, "code": code, "bits": bits,
        "channel": channel, "factor": factor, "examples": _example_urls(_sides(model)),
        "pictures": {title: picture_url(values) for title, values in outputs.items()},
        "error_map": picture_url(np.abs(output - image).mean(1, keepdims=True), low=0.0),
        "numbers": [_numbers(title, values, image) for title, values in outputs.items()][1:],
        "maps": [_map(code, each, each not in off) for each in range(len(code[0]))[:MOST_MAPS]],
        "shown": min(code.shape[1], MOST_MAPS),
        "bytes": {"float32": 4 * code[0].size, "here": math.ceil((bits or 32) * code[0].size / 8)},
    }  # fmt: skip


def _number(query: Mapping[str, str], name: str, default: float, low: float, high: float) -> float:
    value = read_number(query, name, low, high)
    return default if value is None else value


@lru_cache(maxsize=4)
def _opened(name: str) -> Model:
    return load(name, device="cpu")


def _sides(model: Model) -> tuple[int, int]:
    """Return height and width of the model's training images."""
    size = model.card.size
    return (size, size) if isinstance(size, int) else size


@lru_cache(maxsize=2)
def _examples(size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return some test crops of the built-in photos, ``uint8 (N, 3, H, W)``."""
    photos = load_photos(size=size)
    assert photos.part is not None
    test: NDArray[np.uint8] = photos.images[photos.part == TEST]
    return test[:: max(1, len(test) // EXAMPLES)][:EXAMPLES]


@lru_cache(maxsize=2)
def _example_urls(size: tuple[int, int]) -> list[str]:
    return [picture_url(each[None] / np.float32(255), factor=1) for each in _examples(size)]


def _image(name: str, model: Model, jobs: Jobs) -> Floats:
    """Return an image in the form that the model needs, ``float32 (1, C, H, W)`` in [0, 1]."""
    size = _sides(model)
    if name.startswith(UPLOADED):
        job = jobs.get(name.removeprefix(UPLOADED))
        if job is None:
            raise InputError(
                "this image is no longer here: the server was started again, or newer images needed"
                " the space. Choose it again."
            )
        picture = read_picture(job.result).to_pillow().convert("RGB")
        cropped = crop_center(picture, size).resize(size[::-1], Image.Resampling.LANCZOS)
        pixels = np.asarray(cropped).transpose(2, 0, 1)
    else:
        examples = _examples(size)
        number = int(name) if name.isdecimal() and len(name) < 4 else -1
        if not 0 <= number < len(examples):
            raise InputError(f"Image: give a number from 0 to {len(examples) - 1}.")
        pixels = examples[number]
    image: Floats = pixels[None].astype(np.float32) / np.float32(255)
    if model.card.channels == 1:
        image = image.mean(1, keepdims=True)
    return image


@lru_cache(maxsize=2)
def _components(shape: tuple[int, int, int]) -> tuple[PrincipalComponents, int]:
    """Return the principal components of the built-in photos, and the number of these photos."""
    photos = load_photos(size=shape[1:])
    assert photos.part is not None
    images = photos.images[photos.part == TRAIN]
    if shape[0] == 1:
        images = images.mean(1, keepdims=True).round().astype(np.uint8)
    rows = np.arange(len(images))
    pixels = DeviceImages.of(images, rows, device=torch.device("cpu"))
    return PrincipalComponents.cached(pixels), len(images)


def _linear_twin(image: Floats, size: int) -> Floats:
    """Reconstruct an image by PCA with a code of a given size, ``float32 (1, C, H, W)``."""
    shape = image.shape[1:]
    assert len(shape) == 3
    fitted, count = _components(shape)
    if not suitable_sizes(shape, count, [size]):
        raise InputError(
            f"PCA has no code of {size} numbers for these images: the code is as large as an image,"
            " or an image is too large."
        )
    restored: Floats = fitted.restore(torch.from_numpy(image), size).numpy()
    return restored


def _numbers(title: str, values: Floats, truth: Floats) -> dict[str, Any]:
    mse = float(np.square(values - truth, dtype=np.float64).mean())
    return {"title": title, "mse": mse, "psnr": -10 * math.log10(mse) if mse else math.inf}


def _map(code: Floats, number: int, on: bool) -> CodeMap:
    values = code[:, number : number + 1]
    single = values.size == 1
    share = 50 * float(values.mean()) / max(float(np.abs(code).max()), 1e-12)
    return CodeMap(
        image=None if single else picture_url(values, low=None),
        bar=(50 + min(share, 0), abs(share)),
        mean=float(values.mean()),
        deviation=float(values.std()),
        on=on,
    )


def picture_url(values: Floats, *, low: float | None = math.nan, factor: int = 0) -> str:
    """Return a data URL with a PNG of an image.

    Args:
        values: Image ``float32 (1, C, H, W)`` with 1 or 3 channels.
        low: Value that is shown as black, with the largest value as white. ``None`` makes the
            smallest value black. NaN shows values in [0, 1] as they are.
        factor: Factor by which the picture is enlarged. With 0, its longer side becomes about 160
            pixels.
    """
    plane = values[0].transpose(1, 2, 0)
    if low is None or not math.isnan(low):
        dark = float(plane.min()) if low is None else low
        plane = (plane - dark) / max(float(plane.max()) - dark, 1e-12)
    pixels = np.rint(plane.clip(0, 1) * 255).astype(np.uint8)
    image = Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels)
    return png_url(enlarge(image, factor or max(1, 160 // max(image.size))))


def _show(request: Request) -> Response:
    query = request.query_params
    # Browsers do not send boxes that are not ticked. If the form had no boxes, all channels are on.
    shown = "maps" in query
    on = {int(each) for each in query.getlist("on") if each.isdecimal() and len(each) < 6}
    off = [number for number in range(MOST_MAPS) if shown and number not in on]
    state = request.app.state
    values = look(dict(query), off, state.runs, state.jobs)
    template = "coded.html.j2" if request.url.path.endswith("/part") else "code.html.j2"
    return render(request, template, **values)


async def _upload(request: Request) -> Response:
    async with request.form(max_files=1, max_fields=5) as form:
        upload, model = form.get("picture"), str(form.get("model") or "")
        if not isinstance(upload, UploadFile) or not upload.filename:
            raise InputError("choose a picture.")
        name = await run_in_threadpool(_keep, upload, request.app.state.jobs)
    query = urlencode({"model": model, "image": UPLOADED + name})
    return RedirectResponse(f"/code?{query}", status_code=303)


def _keep(upload: UploadFile, jobs: Jobs) -> str:
    """Save a small copy of a picture, which is read again at each change of its code."""
    with jobs.prepare("An image", 1) as job:
        file = job.folder / "upload"
        save(upload, file)
        picture = read_picture(file, name="the picture", max_pixels=max_pixels())
        file.unlink()
        job.result, job.state = job.folder / "image.png", "done"
        preview(picture, KEPT_SIDE).save(job.result)
    return job.name


ROUTES = [
    Route("/code", _show, methods=["GET"]),
    Route("/code", _upload, methods=["POST"]),
    Route("/code/part", _show, methods=["GET"]),
]
