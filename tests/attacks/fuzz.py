"""Changed files and texts for every reader: each is read, or refused by the error that is known.

A reader takes many inputs in one process. The number of the latest stands in shared memory, so that
an input which ends the process is known, and the next process goes on behind it.
"""

import io
import json
import math
import mmap
import pickle
import random
import shutil
import signal
import sys
import tarfile
import time
import warnings
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mutation import change_bytes
from PIL import Image

from caelab.data import cifar10, folder
from caelab.data.archive import read_members
from caelab.degrade.degradation import parse_degradation
from caelab.errors import ExpectedError, InputError
from caelab.experiments.config import make_config
from caelab.experiments.run_directory import RunDirectory
from caelab.experiments.study import read_study
from caelab.experiments.study_results import COLUMNS, read_rows
from caelab.files import read_csv, read_json, read_toml
from caelab.models.card import read_card
from caelab.models.weights_file import load_model
from caelab.networks.describe import describe
from caelab.networks.parser import parse
from caelab.pictures.read import read_picture

SECONDS = 5
"""Time of the processor that a reader may take for an input."""

TIMERS = {
    signal.ITIMER_PROF: SECONDS,
    signal.ITIMER_VIRTUAL: 4 * SECONDS,
    signal.ITIMER_REAL: 60 * SECONDS,
}
"""The first lets the reader fail. The others end the process, if it computes in C or waits."""

MOST = 20
"""Number of problems after which a reader gets no more inputs."""

Change = Callable[[random.Random, list[Any]], Any]


@dataclass(frozen=True)
class Reader:
    """A reader, and what it is given.

    Attributes:
        name: What it reads.
        read: Reads an input, bytes or a text.
        seeds: Inputs that are right.
        change: Returns a changed one.
        refusals: Errors that are no fault.
    """

    name: str
    read: Callable[[Any], object]
    seeds: list[Any]
    change: Change
    refusals: tuple[type[BaseException], ...] = (InputError,)

    @property
    def group(self) -> str:
        """The kind of its inputs: texts, files or directories."""
        if self.change in (change_text, json_text):
            return "texts"
        return "directories" if self.name == "run directory" else "files"


class LateError(BaseException):
    """A reader takes too long; no reader may catch this."""


TEXT = """conv8 pool up | ( ) [ ] * : relu k3 s2 d2 g4 dense16 attention classify10 65536 -1 0 1e309
99999999999 nan é 𝔸 noise blur gray jpeg + , . true [] {} " ' = #"""

WORDS = (*TEXT.split(), "\0", "\x1b[31m", "\n", "\\", "/")

VALUES = (
    None, True, False, 0, -1, -5, 1, 2**31, 2**63, 10**400, 0.5, -0.0, math.nan, math.inf, "", "a",
    "\x1b]0;x\7", "x" * 3000, [], [[]], {}, {"a": 1}, [1, "b", None], [math.nan] * 3,
)  # fmt: skip


def change_text(rng: random.Random, seeds: list[str]) -> str:
    """Put words in, take some out, swap and repeat them."""
    text = rng.choice(seeds)
    for _ in range(rng.randint(1, 6)):
        place = rng.randrange(len(text) + 1)
        match rng.randrange(5):
            case 0:
                text = text[:place] + rng.choice(WORDS) + text[place:]
            case 1:
                text = text[:place] + " " + rng.choice(WORDS) + " " + text[place:]
            case 2:
                text = text[:place] + text[place + rng.randint(1, 8) :]
            case 3:
                piece = text[place : place + rng.randint(1, 10)]
                text = text[:place] + piece * rng.choice([1, 2, 3, 500]) + text[place:]
            case _:
                text = text[:place] + rng.choice(seeds)[rng.randrange(len(text) + 1) :]
    return text


def change_json(rng: random.Random, document: Any) -> Any:
    """Replace a value somewhere in a document, remove it, or add one."""
    places: list[tuple[Any, Any]] = []

    def visit(value: Any) -> None:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, each in list(items):
            places.append((value, key))
            if isinstance(each, dict | list):
                visit(each)

    document = json.loads(json.dumps(document))
    visit(document)
    for container, key in rng.sample(places, min(len(places), rng.randint(1, 2))):
        match rng.randrange(4):
            case 0 if isinstance(container, dict):
                container.pop(key, None)
            case 1 if isinstance(container, dict):
                container[str(rng.choice(WORDS))] = rng.choice(VALUES)
            case 1:
                container.insert(key, rng.choice(VALUES))
            case _ if isinstance(container, dict) or key < len(container):
                container[key] = rng.choice(VALUES)
    return document if rng.random() < 0.95 else rng.choice(VALUES)


def json_text(rng: random.Random, seeds: list[Any]) -> str:
    """Return a changed document as text, which is sometimes changed as a text."""
    text = json.dumps(change_json(rng, rng.choice(seeds)))
    return change_text(rng, [text]) if rng.random() < 0.1 else text


def pictures() -> dict[str, list[bytes]]:
    """Return small files of each format."""
    y, x = np.mgrid[0:12, 0:15]
    color = Image.fromarray(np.stack([16 * x, 20 * y, 5 * (x + y)], -1).astype(np.uint8))
    gray = color.convert("L")
    deep = Image.fromarray(np.asarray(gray).astype(np.uint16) * 200)
    exif = Image.Exif()
    exif[0x0112], exif[315] = 6, "somebody"
    found: dict[str, list[bytes]] = {}
    for format_, images, options in (
        ("PNG", (color, gray, deep, color.convert("P")), {"exif": exif}),
        ("JPEG", (color, gray, color.convert("CMYK")), {"exif": exif}),
        ("TIFF", (color, gray, deep), {"exif": exif}),
        ("TIFF", (color,), {"compression": "tiff_lzw"}),
        ("TIFF", (gray.convert("1"),), {"compression": "group4"}),
        ("WEBP", (color, color.convert("RGBA")), {"exif": exif}),
        ("GIF", (color, gray), {"save_all": True, "append_images": [color]}),
        ("BMP", (color, gray), {}),
        ("PPM", (color, gray), {}),
        ("JPEG2000", (color,), {}),
    ):
        for image in images:
            stream = io.BytesIO()
            image.save(stream, format_, **options)
            found.setdefault(format_, []).append(stream.getvalue())
    return found


def archives() -> list[bytes]:
    """Return small archives with members of CIFAR-10's names."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name in ("cifar-10-batches-py/data_batch_1", "cifar-10-batches-py/readme.html"):
            member = tarfile.TarInfo(name)
            member.size = 700
            archive.addfile(member, io.BytesIO(bytes(700)))
    return [stream.getvalue()]


def change_archive(rng: random.Random, seeds: list[bytes]) -> bytes:
    """Change what is in an archive more often than its compressed bytes."""
    import gzip

    if rng.random() < 0.2:
        return change_bytes(rng, seeds)
    return gzip.compress(change_bytes(rng, [gzip.decompress(rng.choice(seeds))]), 1)


def change_safetensors(rng: random.Random, seeds: list[bytes]) -> bytes:
    """Change the card, the rest of the header, or the bytes of a file of weights."""
    content = rng.choice(seeds)
    if rng.random() < 0.3:
        return change_bytes(rng, seeds)
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    if rng.random() < 0.6:
        card = json.loads(header["__metadata__"]["card"])
        header["__metadata__"]["card"] = json.dumps(change_json(rng, card))
    else:
        header = change_json(rng, header)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[start:]


def readers(trained: Path, work: Path) -> Iterator[Reader]:
    """Yield the readers; each gets a seed from a finished run where it needs one."""
    file = work / "input"

    def from_file(read: Callable[[Path], object]) -> Callable[[Any], object]:
        def write_and_read(content: Any) -> object:
            # Texts may have what no encoding has.
            data = content if isinstance(content, bytes) else content.encode("utf-8", "replace")
            file.write_bytes(data)
            return read(file)

        return write_and_read

    networks = ["conv8 pool conv12 pool conv16 | up conv12 up conv3", "conv4:gelu 2*(conv4) conv3"]
    yield Reader("network", lambda text: describe(parse(text)), networks, change_text)
    texts = ["gray", "noise0.1+blur1", "jpeg30", "none"]
    yield Reader("degradation", parse_degradation, texts, change_text)
    recipe = 'network = "conv4 | conv3"\nepochs = 2\n[optimizer]\nlearning_rate = 0.1\n'
    yield Reader(
        "recipe",
        from_file(lambda path: make_config(read_toml(path, "recipe"))),
        [recipe],
        change_text,
    )
    study = '[study]\nseeds = 2\n[base]\nnetwork = "conv4 | conv3"\n[factors]\nkernel = [1, 3]\n'
    yield Reader("study", from_file(read_study), [study], change_text)
    config = json.loads((trained / "config.json").read_text())["config"]
    yield Reader("configuration", _configure, [config], json_text)
    yield Reader("JSON", from_file(read_json), [config], json_text)
    rows = ",".join(COLUMNS) + "\nbase,,,conv3,0,r,,,9,false,9,9,0.1,1,0.1,0.1,9\n"
    yield Reader("results", from_file(read_rows), [rows], change_text)
    epochs = (trained / "epochs.csv").read_text()
    yield Reader("CSV", from_file(read_csv), [rows, epochs], change_text)
    weights = (trained / "weights.safetensors").read_bytes()
    start = 8 + int.from_bytes(weights[:8], "little")
    card = json.loads(json.loads(weights[8:start])["__metadata__"]["card"])
    yield Reader("card", lambda text: read_card(text, file), [card], json_text)
    device = torch.device("cpu")
    yield Reader(
        "weights", from_file(lambda path: load_model(path, device)), [weights], change_safetensors
    )
    directory = RunDirectory(work / "checkpoint")
    directory.path.mkdir(exist_ok=True)

    def checkpoint(content: bytes) -> object:
        directory.checkpoint.write_bytes(content)
        return directory.load_checkpoint()

    yield Reader("checkpoint", checkpoint, [(trained / "checkpoint.pt").read_bytes()], change_bytes)
    members = frozenset(["data_batch_1"])
    yield Reader(
        "tar", from_file(lambda path: list(read_members(path, members))), archives(), change_archive
    )
    batch = {"data": np.zeros((10, 5), np.uint8), "labels": [1] * 10}
    pickles = [pickle.dumps(batch, protocol) for protocol in (2, 4)]
    yield Reader("pickle", cifar10.parse_python, pickles, change_bytes, (ValueError,))
    for format_, seeds in pictures().items():
        yield Reader(format_, read_picture, seeds, change_bytes)
        small = from_file(lambda path: folder.read_picture(path, size=(8, 8)))
        yield Reader(f"{format_} as data", small, seeds, change_bytes, (Exception,))
    yield from _onnx(trained, file)
    yield Reader("run directory", _tampered(trained, work), [0], _tamper(trained))


def _configure(text: str) -> object:
    try:
        document = json.loads(text)
    except ValueError:
        return None
    if not isinstance(document, dict):
        return None
    return make_config(document)


def _onnx(trained: Path, file: Path) -> Iterator[Reader]:
    """Yield a reader of ONNX files, a graph of one node whose metadata are changed."""
    try:
        import onnx
        import onnxruntime  # noqa: F401 - it reads them
    except ImportError:
        return
    from caelab.pictures.backends.onnx import FORMAT, load_onnx
    from caelab.pictures.picture import Picture
    from caelab.pictures.restore import restore

    shape = ["n", 3, "h", "w"]
    inputs = onnx.helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, shape)
    outputs = onnx.helper.make_tensor_value_info("answer", onnx.TensorProto.FLOAT, shape)
    node = onnx.helper.make_node("Identity", ["images"], ["answer"])
    graph = onnx.helper.make_graph([node], "g", [inputs], [outputs])
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9
    )
    weights = (trained / "weights.safetensors").read_bytes()
    start = 8 + int.from_bytes(weights[:8], "little")
    card = json.loads(json.loads(weights[8:start])["__metadata__"]["card"])
    geometry = {"multiple": 2, "field": 20, "fixed": None}
    picture = Picture(pixels=np.zeros((70, 50, 3), np.uint8))

    def read(metadata: dict[str, str]) -> object:
        changed = onnx.ModelProto()
        changed.CopyFrom(model)
        onnx.helper.set_model_props(changed, metadata)
        file.write_bytes(changed.SerializeToString())
        return restore(load_onnx(file, threads=1), [picture])

    def change(rng: random.Random, _: list[Any]) -> dict[str, str]:
        parts = {"card": card, "geometry": geometry}
        chosen = rng.choice(list(parts))
        parts[chosen] = change_json(rng, parts[chosen])
        texts = {name: json.dumps(part) for name, part in parts.items()}
        space = rng.choice(["", "", "oklab", "\0", "x"])
        return {"format": FORMAT, "color_space": space, **texts}

    yield Reader("ONNX metadata", read, [None], change)


def _tamper(trained: Path) -> Change:
    names = ("config.json", "environment.json", "result.json", "epochs.csv", "per_image.npz")
    originals = {name: (trained / name).read_bytes() for name in names}

    def change(rng: random.Random, _: list[Any]) -> tuple[str, bytes | None]:
        name = rng.choice(names)
        content = originals[name]
        if rng.random() < 0.05:
            return name, None
        if name.endswith(".json"):
            return name, json.dumps(change_json(rng, json.loads(content))).encode()
        if name.endswith(".csv"):
            return name, change_text(rng, [content.decode()]).encode("utf-8", "replace")
        return name, change_bytes(rng, [content])

    return change


def _tampered(trained: Path, work: Path) -> Callable[[Any], object]:
    """Return what reads a run directory of which a file was changed, as reports and studies do."""
    from caelab.experiments.run_directory import read_config
    from caelab.experiments.setup import describe_run
    from caelab.experiments.study import Variant
    from caelab.experiments.study_runner import read_row
    from caelab.report.inputs import gather
    from caelab.report.report import write_report

    copy = work / "tampered"

    def read(changed: tuple[str, bytes | None]) -> object:
        name, content = changed
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(trained, copy)
        (copy / name).unlink()
        if content is not None:
            (copy / name).write_bytes(content)
        elif name.endswith(".json"):
            (copy / name).mkdir()
        try:
            config = read_config(copy)
            variant = Variant(
                label="base", factor="", level="", config=config, description=describe_run(config)
            )
            read_row(variant, config.seed, RunDirectory(copy))
        except InputError:
            pass
        run = gather([copy]).runs[0]
        return run.measures, run.mse, write_report

    return read


def attack(
    trained: Path,
    root: Path,
    groups: Collection[str],
    seconds: float,
    seed: int,
    in_child: Callable[..., Any],
) -> Iterator[tuple[str, int, list[str]]]:
    """Give changed inputs to each reader, each for its share of the time.

    Args:
        trained: A finished run.
        root: Folder for files.
        groups: Kinds of inputs.
        seconds: Time for all readers together.
        seed: Seed of the changes.
        in_child: Calls a function in a forked process.

    Yields:
        Name of a reader, the number of its inputs, and what was found.
    """
    work = root / "fuzzed"
    work.mkdir()
    every = [reader for reader in readers(trained, work) if reader.group in groups]
    for reader in every:
        end, place, done = time.monotonic() + seconds / len(every), mmap.mmap(-1, 8), 0
        problems = root / "problems"
        problems.touch()
        found: list[str] = []
        while time.monotonic() < end and len(found) < MOST:
            give = partial(_give, reader, done, end, seed, place, problems)
            ended = in_child(give, root / "count", int(seconds + 60))
            number = int.from_bytes(place, "little")
            found = problems.read_text().splitlines()
            done = number + 1
            if ended.code:
                how = f"it ended with {ended.code}: {ended.said[-500:]!r}"
                _note(problems, f"{reader.name} {number}: {how}")
                found = problems.read_text().splitlines()
        for problem in found:
            print(problem, file=sys.stderr)  # noqa: T201 - a night is long
        problems.unlink()
        yield reader.name, done, found


def _note(problems: Path, problem: str) -> None:
    with problems.open("a", encoding="utf-8", errors="replace") as file:
        file.write(problem.replace("\n", " ") + "\n")


def _give(
    reader: Reader, number: int, end: float, seed: int, place: mmap.mmap, problems: Path
) -> int:
    """Give inputs to a reader until the time is over; tell where it is, and what was found."""

    def late(*_: object) -> None:
        raise LateError(f"more than {SECONDS} s")

    signal.signal(signal.SIGPROF, late)
    warnings.simplefilter("ignore")
    Image.MAX_IMAGE_PIXELS = 2**21
    found = len(problems.read_text().splitlines())
    while True:
        # Each input has random numbers of its own, so that a fault can be found again.
        rng = random.Random(f"{seed} {reader.name} {number}")
        given = reader.change(rng, reader.seeds)
        place[:] = number.to_bytes(8, "little")
        for timer, seconds in TIMERS.items():
            signal.setitimer(timer, seconds)
        try:
            reader.read(given)
        except (*reader.refusals, ExpectedError):
            pass
        except BaseException as error:
            problem = f"{type(error).__name__} {error}: {given!r:.300}"
            _note(problems, f"{reader.name} {number}: {problem}")
            found += 1
        signal.setitimer(signal.ITIMER_PROF, 0)
        if time.monotonic() > end or found >= MOST:
            return 0
        number += 1
