"""The view "Understand": show layers, sizes and a drawing of a network while a user types it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from PIL import ImageDraw
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from caelab.api.describe import NetworkDescription, describe
from caelab.app.data_url import data_url, enlarge, png_url
from caelab.app.pages import render
from caelab.data.builtin_photos import PHOTOS, open_photo
from caelab.errors import InputError
from caelab.networks import Network, parse
from caelab.networks.ast import Item, Repeat, Residual, Skip
from caelab.networks.layers.base import LETTERS, LayerKind
from caelab.networks.presets import PRESETS
from caelab.report.figures.reference import draw_network
from caelab.report.language import read_language
from caelab.report.representation_sizes import size_calculations

TEXT_LIMIT = 10_000
"""Largest number of characters of a network's text in the page."""

LARGEST = {"number": 128, "kernel": 9, "stride": 4, "padding": 4}
"""Largest value of each slider."""

SMALLEST = {"number": 1, "kernel": 1, "stride": 1, "padding": -1}
"""Smallest value of each slider; a padding of −1 stands for padding "same"."""

EXAMPLE = (150, 30, 310, 190)
"""Part of the first built-in photo for receptive fields: left, top, right and bottom in pixels."""


@dataclass(frozen=True, kw_only=True)
class Slider:
    """A slider for an option of a layer.

    Attributes:
        name: Name of the option: ``number``, ``kernel``, ``stride`` or ``padding``.
        label: Text next to the slider.
        value: Current value.
        low: Smallest value.
        high: Largest value.
    """

    name: str
    label: str
    value: int
    low: int
    high: int


def layers(network: Network) -> list[LayerKind]:
    """Return the layers in the order of the text; layers in a repetition occur once."""

    def walk(items: tuple[Item, ...]) -> Iterator[LayerKind]:
        for item in items:
            if isinstance(item, LayerKind):
                yield item
            else:
                yield from walk(getattr(item, "items", ()))

    return list(walk(network.items))


def with_change(network: Network, position: int, changes: Mapping[str, int]) -> Network:
    """Return a copy of a network in which one layer has other options.

    >>> str(with_change(parse("conv8 pool | up conv3"), 0, {"kernel": 5, "number": 12}))
    'conv12k5 pool | up conv3'

    Args:
        network: The network.
        position: Number of the layer in the order of the text, from 0.
        changes: Fields of the layer and their new values; a padding of −1 is "same".
    """
    chosen = layers(network)[position]
    values: dict[str, Any] = dict(changes)
    if values.get("padding") == -1:
        values["padding"] = None

    def changed(item: Item) -> Item:
        match item:
            case Residual() | Skip() | Repeat():
                return replace(item, items=tuple(map(changed, item.items)))
            case _:
                return replace(item, **values) if item is chosen else item

    return Network(items=tuple(map(changed, network.items)))


def sliders(layer: LayerKind) -> list[Slider]:
    """Return the sliders of a layer: the number after its name, kernel, stride and padding."""
    found = []
    if layer.takes and not layer.takes.decimal:
        found.append(("number", layer.takes.meaning, layer.number))
    taken = {LETTERS.get(letter, "padding") for letter in layer.letters}
    for name in ("kernel", "stride", "padding"):
        if name in taken:
            value = getattr(layer, name)
            found.append((name, name, -1 if value is None else value))
    return [
        Slider(
            name=name, label=label, value=value, low=SMALLEST[name],
            high=max(LARGEST[name], value),
        )
        for name, label, value in found
    ]  # fmt: skip


def explain(query: Mapping[str, str]) -> dict[str, Any]:
    """Return the values that the page shows for a network, or the error in its text.

    Args:
        query: Texts of the form's fields: ``network``, and ``height``, ``width`` and ``channels``
            of the images. To change a layer: its number ``layer``, and new values of its options.
            To show a receptive field: the number ``row`` of a layer, and the position ``y`` and
            ``x`` in its output.
    """
    text = query.get("network") or PRESETS["reference"]
    found: dict[str, Any] = {"text": text, "presets": PRESETS, "query": query, "limit": TEXT_LIMIT}
    try:
        if len(text) > TEXT_LIMIT:
            found["text"] = text[:TEXT_LIMIT]
            raise InputError(f"the text has more than {TEXT_LIMIT:,} characters.")
        height, width, channels = (
            _whole(query, name, default, most)
            for name, default, most in (
                ("height", 32, 1024),
                ("width", 32, 1024),
                ("channels", 3, 64),
            )
        )
        network = parse(text)
        before = describe(network, size=(height, width), channels=channels)
        position = min(_whole(query, "layer", 0, 10**6, least=0), len(layers(network)) - 1)
        names = [each.name for each in sliders(layers(network)[position])]
        changes = {
            name: _whole(query, name, 0, 4096, least=-1) for name in names if query.get(name)
        }
        if changes:
            network = with_change(network, position, changes)
        after = describe(network, size=(height, width), channels=channels)
        field = show_field(after, query)
    except InputError as error:
        return {**found, "error": str(error)}
    return {
        **found,
        "text": after.text,
        "before": before,
        "after": after,
        "changed": before.text != after.text,
        "calculations": size_calculations(after),
        "drawing": data_url(draw_network(after, read_language("en")), "svg+xml"),
        "layers": [str(layer) for layer in layers(network)],
        "position": position,
        "sliders": sliders(layers(network)[position]),
        "field": field,
    }


def _whole(query: Mapping[str, str], name: str, default: int, most: int, *, least: int = 1) -> int:
    text = query.get(name) or str(default)
    number = int(text) if text.lstrip("-").isdecimal() and len(text) < 9 else least - 1
    if not least <= number <= most:
        raise InputError(f"{name.capitalize()}: give a whole number from {least} to {most:,}.")
    return number


@dataclass(frozen=True, kw_only=True)
class Field:
    """The part of an image on which a number in the output of a layer depends.

    Attributes:
        image: URL of an image with a frame around this part.
        row: Number of the layer, from 1.
        y: Row of the number in the output.
        x: Column of the number in the output.
        rows: Rows of the image in this part.
        columns: Columns of the image in this part.
    """

    image: str
    row: int
    y: int
    x: int
    rows: slice
    columns: slice


def show_field(description: NetworkDescription, query: Mapping[str, str]) -> Field:
    """Return the receptive field of a number; by default, of the number in the code's middle.

    Args:
        description: Description of the network.
        query: Texts ``row``, ``y`` and ``x`` of the form's fields; each may be missing.

    Raises:
        InputError: A text is not a whole number, or the number is out of range.
    """
    default = (description.code or description.narrowest).row or 1
    row = _whole(query, "row", default, len(description.rows))
    _, height, width = description.rows[row - 1].shape
    # The position may be left from a layer with a larger output. It is then moved to the border.
    y, x = (
        min(_whole(query, name, side // 2, 10**6, least=0), side - 1)
        for name, side in (("y", height), ("x", width))
    )
    rows, columns = description.input_area(row, y, x)
    image = _with_frame(description.input[1:], rows, columns)
    return Field(image=image, row=row, y=y, x=x, rows=rows, columns=columns)


def _with_frame(size: tuple[int, int], rows: slice, columns: slice) -> str:
    """Return the URL of an example image with a frame around some of its pixels.

    Args:
        size: Height and width of the image in pixels.
        rows: Rows in the frame.
        columns: Columns in the frame.
    """
    height, width = size
    factor = max(1, 320 // max(size))
    crop = open_photo(PHOTOS[0]).convert("RGB").resize((width, height), box=EXAMPLE)
    image = enlarge(crop, factor)
    left, right = (factor * side for side in (columns.start, columns.stop))
    top, bottom = (factor * side for side in (rows.start, rows.stop))
    if left < right and top < bottom:
        draw = ImageDraw.Draw(image)
        # A frame of a single color would be invisible on pixels of this color.
        for inset, color, line in ((0, "black", 5), (1, "white", 3)):
            box = (left + inset, top + inset, right - 1 - inset, bottom - 1 - inset)
            if box[0] <= box[2] and box[1] <= box[3]:
                draw.rectangle(box, outline=color, width=line)
    return png_url(image)


async def _show(request: Request) -> Response:
    values = await run_in_threadpool(explain, dict(request.query_params))
    part = request.url.path.endswith("/part")
    # The page shows a wrong text again, so that the user can correct it. Its status is 400.
    status = 200 if part or "error" not in values else 400
    template = "network.html.j2" if part else "understand.html.j2"
    return render(request, template, status=status, **values)


ROUTES = [Route("/understand", _show), Route("/understand/part", _show)]
