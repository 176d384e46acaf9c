"""Read Parquet files of Hugging Face's data sets, which have a column of encoded pictures."""

import io
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from caelab.data.arrays import PARTS, make_set, number_classes
from caelab.data.folder import Sides, read_pictures
from caelab.data.image_set import FREE, ImageSet
from caelab.data.pixel_store import PixelStore
from caelab.errors import InputError, missing_extra

LABELS = ("label", "labels", "fine_label", "class", "target")
"""Names that the column of the classes may have; the first name that occurs is used."""


def find_parquet(path: Path) -> Path | None:
    """Return ``path`` if it is a Parquet file or a folder with such files, otherwise ``None``."""
    return path if _files(path) else None


def read_parquet(
    path: Path, *, size: Sides, channels: int = 3, store: PixelStore | None = None
) -> ImageSet:
    """Read the pictures of Parquet files, cropped at the center and resized, and their classes.

    The pictures are the first column whose type is bytes or ``{bytes, path}``; the path is never
    opened. A file whose name begins with ``train``, ``validation`` or ``test`` holds that part.

    Args:
        path: A Parquet file, or a folder with Parquet files in it or in its folder ``data``.
        size: Height and width of the images, in pixels.
        channels: 3 for RGB, 1 for gray.
        store: Where the images are kept; by default in memory.

    Raises:
        InputError: pyarrow is not installed, no column has pictures, or a file is damaged.
    """
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise missing_extra(f"to read {path}, pyarrow is needed", "parquet") from error
    counts, parts, labels = [], [], []
    try:
        files = {file: ParquetFile(file) for file in _files(path)}
        schema = next(iter(files.values())).schema_arrow
        image = _image_column(schema, path)
        label = next((name for name in LABELS if name in schema.names), None)
        for file, opened in files.items():
            word = re.split(r"[-_.]", file.name.lower())[0]
            counts.append(opened.metadata.num_rows)
            parts += [PARTS.get(word, FREE)] * counts[-1]
            column = opened.read([label]).column(label).to_numpy() if label else None
            labels.append(column)
        names = [f"row {row}" for row in range(sum(counts))]
        images, good, note = read_pictures(
            _pictures(files.values(), image),
            names,
            list(files),
            size=size,
            channels=channels,
            where=str(path),
            store=store,
        )
    except InputError:
        raise
    except Exception as error:  # damaged files raise errors of nearly all kinds
        raise InputError(
            f"{path} cannot be read as Parquet: {' '.join(str(error).split())[:200]}"
        ) from error
    classes, numbers = number_classes(
        labels, counts, classes=_class_names(schema, label), where=str(path)
    )
    return make_set(
        images,
        None if numbers is None else numbers[good],
        classes,
        np.array(parts, np.int8)[good],
        name="parquet",
        where=str(path),
        note=note,
    )


def _pictures(files: Iterable[Any], column: str) -> Iterator[io.BytesIO]:
    """Yield the encoded pictures in a column of opened Parquet files."""
    for opened in files:
        for batch in opened.iter_batches(batch_size=64, columns=[column]):
            for each in batch.column(0).to_pylist():
                content = each["bytes"] if isinstance(each, dict) else each
                yield io.BytesIO(content or b"")


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if path.suffix == ".parquet" else []
    # In a clone of a data set, the files are at the top or in the folder `data`.
    found = (file for folder in (path, path / "data") for file in sorted(folder.glob("*.parquet")))
    # In a folder of pictures, Hugging Face stores captions in `metadata.parquet`.
    return [file for file in found if file.stem != "metadata"]


def _image_column(schema: Any, path: Path) -> str:
    """Return the name of the first column whose type is bytes or ``{bytes, path}``.

    Raises:
        InputError: There is no such column.
    """
    import pyarrow as arrow

    for field in schema:
        kind = field.type
        inner = (
            kind.field("bytes").type
            if arrow.types.is_struct(kind) and kind.get_field_index("bytes") >= 0
            else kind
        )
        if arrow.types.is_binary(inner) or arrow.types.is_large_binary(inner):
            return str(field.name)
    raise InputError(
        f"{path} holds no pictures: none of its columns, {', '.join(schema.names)}, has encoded"
        " pictures as bytes."
    )


def _class_names(schema: Any, label: str | None) -> tuple[str, ...]:
    """Return the names of the classes from Hugging Face's metadata; empty if they are missing.

    Args:
        schema: Schema of a file, in pyarrow's form.
        label: Name of the column of the classes.
    """
    try:
        stated = json.loads((schema.metadata or {})[b"huggingface"])
        return tuple(map(str, stated["info"]["features"][label]["names"]))
    except (KeyError, TypeError, ValueError):
        return ()
