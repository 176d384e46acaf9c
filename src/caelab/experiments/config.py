"""The configuration of a run: all parameters that are needed to repeat the run.

A configuration consists of nested tables, which are the same in JSON, in TOML and in
:func:`make_config`. Messages name a parameter by its path, such as ``optimizer.learning_rate``.
"""

import difflib
import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo

from caelab.data.size import read_size, sides
from caelab.degrade.degradation import Degradation, parse_degradation
from caelab.errors import InputError
from caelab.experiments.migration import OLD_VALUES, RENAMED, nest_paths
from caelab.models.tta import TTA
from caelab.networks.ast import Network
from caelab.networks.parser import parse
from caelab.networks.presets import PRESETS
from caelab.registry import Registry, load_plugins
from caelab.training.config import AugmentationConfig, Finite, KindName, Table, reason
from caelab.training.losses import LossConfig
from caelab.training.optimizers import OptimizerConfig

SOURCES = ("data", "start_weights", "start_run")
"""Short names of parameters that say where something is stored, not what its content is."""

DEFAULTS = 2
"""Version of the defaults and of the names; it is part of every key (:meth:`RunConfig.key`)."""


def _parsed(kind: type, read: Callable[[str], Any], expected: str) -> PlainValidator:
    """Return a validator that reads a text, and keeps a value that has the type ``kind``."""

    def validate(value: Any) -> Any:
        if isinstance(value, kind):
            return value
        if isinstance(value, str):
            return read(value)
        raise ValueError(f"Input should be {expected}")

    return PlainValidator(validate)


# A configuration holds the parsed tree, so that a text is parsed only once. JSON holds the text.
_AS_TEXT = PlainSerializer(str, return_type=str)
ParsedNetwork = Annotated[
    Network, _parsed(Network, parse, "a network text or the name of a preset"), _AS_TEXT
]
ParsedDegradation = Annotated[
    Degradation,
    _parsed(Degradation, parse_degradation, "a text such as gray or noise0.1+blur1"),
    _AS_TEXT,
]


class _TargetNames(Registry[Any]):
    """Names of the prediction targets, found without importing PyTorch.

    The registry of targets needs PyTorch. It is read only if it was imported before, for example by
    a plug-in that adds a target.
    """

    own = ("rgb", "chroma", "bins")

    def __init__(self) -> None:
        super().__init__("prediction target")

    def __iter__(self) -> Iterator[str]:
        load_plugins()
        loaded = sys.modules.get("caelab.models.targets.base")
        registered = loaded.PredictionTarget.registry if loaded else ()
        # Users cannot choose the target logits, which follows from the loss.
        return iter(dict.fromkeys([*self.own, *(name for name in registered if name != "logits")]))

    def __contains__(self, name: object) -> bool:
        return name in self.own or name in list(self)


class DataConfig(Table):
    """The images, and how they are split for training, validation and testing."""

    source: str = Field(
        default="auto",
        description=(
            "A path, 'cifar10', 'photos', or 'auto': the path in CAELAB_DATA, else CIFAR-10 (may be"
            " downloaded), else photos."
        ),
    )
    size: Annotated[str | int, BeforeValidator(read_size)] = Field(
        default=32,
        description=(
            "Size of the images: a side in pixels, 1 to 1024, or HEIGHTxWIDTH. Pictures are cropped"
            " and resized to it; arrays must have it already."
        ),
    )
    channels: int = Field(
        default=3,
        ge=1,
        le=1024,
        description=(
            "Channels of the images. Pictures are converted to 3 (RGB) or 1 (gray). RGB arrays can"
            " be converted to 1; other arrays must have this number already."
        ),
    )
    split: Literal["pooled", "official"] = Field(
        default="pooled",
        description=(
            "pooled: 80%, 10% and 10% of all images for training, validation and testing;"
            " official: CIFAR-10's own test images for testing. Other data that have a test set"
            " always use it for testing."
        ),
    )
    split_seed: int = Field(default=0, ge=0, description="Seed of the shuffle before the split.")
    val_size: int | None = Field(
        default=None,
        ge=1,
        description=(
            "Largest number of validation images, chosen by the split's seed. The other validation"
            " images become training images. If it is not given, all are used."
        ),
    )
    train_size: int | None = Field(
        default=None,
        ge=1,
        description=(
            "Largest number of training images, chosen by the split's seed. If it is not given,"
            " all are used."
        ),
    )
    test_size: int | None = Field(
        default=None,
        ge=1,
        description=(
            "Largest number of test images, chosen by the split's seed, for quick trials. If it is"
            " not given, all are used."
        ),
    )
    normalize: Literal["none", "standardize"] = Field(
        default="standardize",
        description=(
            "none: pixels stay in [0, 1]; standardize: the mean of the training images is"
            " subtracted, and the result is divided by their standard deviation."
        ),
    )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape ``(C, H, W)`` of an image."""
        return (self.channels, *sides(self.size))


class TargetConfig(Table):
    """What the network predicts."""

    kind: Annotated[str, KindName(_TargetNames())] = Field(
        default="rgb",
        description=(
            "What is predicted: the image, its chroma, or a distribution over chroma bins."
        ),
    )
    color_space: Literal["ycbcr", "lab", "oklab"] = Field(
        default="ycbcr", description="Color space of the chroma planes."
    )
    bins: int = Field(
        default=104,
        ge=8,
        le=512,
        description="Number of chroma bins: the most frequent ones in the training images.",
    )
    rebalance: Finite = Field(
        default=0.5,
        ge=0,
        lt=1,
        description="Extra weight of rare bins in the loss; 0 gives no extra weight.",
    )
    temperature: Finite = Field(
        default=0.38,
        gt=0,
        description=(
            "Temperature of the mean over bins: 1 gives the mean, near 0 the most probable bin."
        ),
    )


class StartConfig(Table):
    """Model or run that training starts with, instead of initial weights."""

    weights: str | None = Field(
        default=None,
        description=(
            "Model whose weights training starts with: a shipped model, a run or a weights file."
            " Network, degradation, target and normalization are those of the model."
        ),
    )
    run: str | None = Field(
        default=None,
        description="Finished run to train further, up to the chosen number of epochs.",
    )
    fingerprint: str | None = Field(
        default=None,
        description=(
            "Hash of the weights that training starts with, or of the continued run's last state."
            " It is computed when the configuration is made, and checked before training."
        ),
    )

    @property
    def source(self) -> str | None:
        """Name or path of the run or model that training starts with; ``None`` without one."""
        return self.run or self.weights

    @model_validator(mode="after")
    def _is_one_start(self) -> "StartConfig":
        if self.run and self.weights:
            raise ValueError("a run starts with weights or continues a run, not both")
        return self


class RunConfig(Table):
    """All parameters of a run; the defaults train the reference network well.

    The descriptions of the fields are also the help of the command-line options.
    """

    network: ParsedNetwork = Field(
        default="reference",
        validate_default=True,
        description="A network text, or the name of a preset.",
    )
    data: DataConfig = DataConfig()
    start: StartConfig = StartConfig()
    degradation: ParsedDegradation = Field(
        default=Degradation(),
        description="Change of the input that the network undoes, such as gray or noise0.1+blur1.",
    )
    target: TargetConfig = TargetConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    test_time: TTA = TTA()
    batch_size: int = Field(default=128, ge=1, description="Images per step.")
    epochs: int = Field(default=10, ge=1, description="Passes through the training images.")
    patience: int | None = Field(
        default=None,
        ge=1,
        description=(
            "Training stops after this number of epochs without a better validation error. If it"
            " is not given, training never stops early."
        ),
    )
    init: Literal["lsuv", "kaiming", "default"] = Field(
        default="lsuv",
        description=(
            "Initial weights. kaiming: Kaiming's; lsuv: Kaiming's, rescaled so that every layer's"
            " output has mean 0 and variance 1; default: PyTorch's."
        ),
    )
    batchnorm: bool = Field(
        default=False,
        description=(
            "Train with batch normalization before each activation. After training, it is folded"
            " into the convolutions."
        ),
    )
    ema_decay: Finite | None = Field(
        default=None,
        gt=0,
        lt=1,
        description=(
            "Decay per step of a moving average of the weights. The average is evaluated and"
            " saved. At first, the decay is smaller, so that the average forgets the early, bad"
            " weights."
        ),
    )
    seed: int = Field(
        default=0,
        ge=0,
        description="Seed of all randomness except the split's shuffle.",
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        default="auto",
        description="Device; auto takes cuda, else mps (Apple), else cpu.",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto",
        description=(
            "Number format of convolutions. auto takes bfloat16 on CUDA devices that support it,"
            " and otherwise float32. On a CPU without bfloat16 instructions, bfloat16 becomes"
            " float32."
        ),
    )

    @property
    def network_name(self) -> str:
        """Name of the preset with the network's canonical text, or else the text itself."""
        return preset_name(self.network.text) or self.network.text

    def flat(self) -> dict[str, Any]:
        """Return the values of all parameters by short name, as in :data:`PARAMETERS`."""
        return {name: parameter.value(self) for name, parameter in PARAMETERS.items()}

    def changes(self) -> dict[str, Any]:
        """Return, by short name, the network and every value that is not its default."""
        return {
            name: value
            for name, value in self.flat().items()
            if name == "network" or value != PARAMETERS[name].default
        }

    def replace(self, **changes: Any) -> "RunConfig":
        """Return a copy with other values, given by the short names of :data:`PARAMETERS`.

        Raises:
            InputError: A name is unknown, or a value is of the wrong type or out of range.
        """
        return make_config(nest({**self.flat(), **changes}))

    def without_paths(self, data: str) -> "RunConfig":
        """Return a copy for other machines: each path is cut to its last name.

        Args:
            data: Value of ``data.source`` in the copy.
        """
        flat = self.flat()
        sources = {name: flat[name] and Path(flat[name]).name for name in SOURCES}
        return self.replace(**{**sources, "data": data})

    def key(self, fingerprint: str) -> str:
        """Return eight hexadecimal digits that identify this run on the data ``fingerprint``.

        The key depends on the content of the data, not on its path. Only values that are not the
        defaults are hashed, so that a new parameter does not change the keys of finished runs.
        When a default changes, ``DEFAULTS`` must be increased.
        """
        # Sources may be paths; fingerprints identify the images and the weights themselves.
        changes = {name: value for name, value in self.changes().items() if name not in SOURCES}
        changes |= {"network": self.network.text}
        # Keys are sorted, because the same configuration must have the same text.
        hashed = f"{DEFAULTS} {json.dumps(changes, sort_keys=True, default=str)} {fingerprint}"
        return hashlib.sha256(hashed.encode()).hexdigest()[:8]


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One parameter of the configuration.

    Attributes:
        path: Names of the tables that hold the parameter, then its own name.
        field: Type, default and description of the parameter.
    """

    path: tuple[str, ...]
    field: FieldInfo

    @property
    def dotted(self) -> str:
        """The path as messages and TOML files write it, such as ``optimizer.kind``."""
        return ".".join(self.path)

    @property
    def default(self) -> Any:
        """Value of the parameter if none is given."""
        return self.field.default

    def value(self, config: RunConfig) -> Any:
        """Return this parameter's value in ``config``."""
        return reduce(getattr, self.path, config)


PREFIXES: Mapping[str, str] = {"test_time": "tta", "start": "start"}
"""First word of the short names of a table's parameters, by the table's name."""


def _parameters() -> Iterator[tuple[str, Parameter]]:
    for name, field in RunConfig.model_fields.items():
        table = field.annotation
        if not (isinstance(table, type) and issubclass(table, BaseModel)):
            yield name, Parameter(path=(name,), field=field)
            continue
        for inner, inner_field in table.model_fields.items():
            short = name if inner in ("kind", "source") else inner
            short = f"{PREFIXES[name]}_{inner}" if name in PREFIXES else short
            yield short, Parameter(path=(name, inner), field=inner_field)


PARAMETERS: Mapping[str, Parameter] = dict(_parameters())
"""Every parameter by its short name, in the order of the tables.

The short name is the last part of the path, such as ``learning_rate``. For ``kind`` and ``source``
it is the name of the table, such as ``loss``. For the parameters of ``test_time`` it begins with
``tta_``, and for those of ``start`` with ``start_``.
"""

PATHS: Mapping[str, str] = {name: parameter.dotted for name, parameter in PARAMETERS.items()}
"""The path of every parameter by its short name."""

OPTIONS: Mapping[str, str] = {"start_weights": "from", "start_run": "continue"}
"""Command-line options whose names are not the parameter's short name, by short name."""

SHORT_NAMES: Mapping[str, str] = {path: name for name, path in PATHS.items()}
"""The short name of every parameter by its path."""


def preset_name(text: str) -> str | None:
    """Return the name of the preset with the canonical text ``text``, or ``None``."""
    return next((name for name, preset in PRESETS.items() if preset == text), None)


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Turn values by short name into nested tables; unknown names stay at the top level.

    >>> nest({"epochs": 3, "learning_rate": 0.01, "loss": "l1"})
    {'epochs': 3, 'optimizer': {'learning_rate': 0.01}, 'loss': {'kind': 'l1'}}
    """
    return nest_paths({PATHS.get(name, name): value for name, value in flat.items()})


def short_names(nested: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield the path, the short name and the value of each entry of nested tables.

    If the path belongs to no parameter, it is also the short name, and the value may be a table.

    >>> list(short_names({"optimizer": {"kind": "adam"}, "width": {"low": 1}}))
    [('optimizer.kind', 'optimizer', 'adam'), ('width', 'width', {'low': 1})]
    """
    tables = {parameter.path[0] for parameter in PARAMETERS.values() if len(parameter.path) > 1}
    for name, value in nested.items():
        inner = value if name in tables and isinstance(value, dict) else {"": value}
        for last, each in inner.items():
            path = f"{name}.{last}".rstrip(".")
            yield path, SHORT_NAMES.get(path, path), each


def merge(base: Mapping[str, Any], *others: Mapping[str, Any]) -> dict[str, Any]:
    """Merge nested tables; values of later tables take precedence.

    >>> merge({"loss": {"kind": "l1", "huber_delta": 2.0}}, {"loss": {"kind": "huber"}})
    {'loss': {'kind': 'huber', 'huber_delta': 2.0}}
    """
    merged = dict(base)
    for other in others:
        for name, value in other.items():
            before = merged.get(name)
            both = isinstance(before, Mapping) and isinstance(value, Mapping)
            merged[name] = merge(before or {}, value) if both else value
    return merged


class ConfigError(InputError):
    """Parameters of a configuration are wrong.

    Attributes:
        problems: Message about each wrong parameter, by its path.
    """

    def __init__(self, problems: Mapping[tuple[str, ...], str]) -> None:
        self.problems = problems
        message = "; ".join(problems.values())
        super().__init__(message if message.endswith("?") else f"{message}.")


def states(tables: Mapping[str, Any], path: Sequence[str]) -> bool:
    """Return whether nested tables state a value for the parameter with the path ``path``."""
    for name in path:
        if not isinstance(tables, Mapping) or name not in tables:
            return False
        tables = tables[name]
    return True


def make_config(options: Mapping[str, Any]) -> RunConfig:
    """Check nested tables of parameters, and return the configuration that they describe.

    Args:
        options: Nested tables of parameters, as in a recipe. A parameter that is missing has its
            default, or the value of the model or run that ``start`` names.

    Raises:
        ConfigError: Parameters are unknown, of the wrong type or out of range. The message names
            all of them.
        InputError: The model or run that ``start`` names cannot be read.

    >>> config = make_config({"network": "strided", "optimizer": {"learning_rate": 0.01}})
    >>> config.optimizer.learning_rate, config.optimizer.kind
    (0.01, 'soap')
    """
    stated = options.get("start")
    start = stated if isinstance(stated, Mapping) else {}
    if (start.get("weights") or start.get("run")) and not start.get("fingerprint"):
        # Imported only here, because the module imports PyTorch. With a fingerprint, the model or
        # run was read before.
        from caelab.experiments.start import start_tables

        options = merge(start_tables(start), options)
    try:
        return RunConfig(**options)
    except ValidationError as error:
        problems = {tuple(map(str, each["loc"])): _explain(each) for each in error.errors()}
        raise ConfigError(problems) from error


def _explain(problem: Any) -> str:
    path, value = [str(part) for part in problem["loc"]], problem["input"]
    name = f"`{'.'.join(path)}`"
    shown = f"{value:g}" if isinstance(value, float) else str(value)
    match problem["type"]:
        case "extra_forbidden":
            return unknown_parameter(path)
        case "model_type" | "model_attributes_type":
            # Somebody wrote loss = "l1" instead of loss.kind = "l1".
            inner = next(each for each in PARAMETERS.values() if each.path[0] == path[0])
            return f"{path[0]} is a table: write {inner.dotted} = {shown!r}"
        case "literal_error" if new := OLD_VALUES.get(".".join(path), {}).get(shown):
            return f"{name} {shown}: '{value}' is now called '{new}'"
        case _:
            return f"{name} {shown}: {reason(problem)}"


def unknown_parameter(path: list[str], *others: str) -> str:
    """Return a message about an unknown parameter that names the one that was probably meant.

    Args:
        path: Names of the tables and of the parameter, as the user wrote them.
        others: Further names that the user may have meant.
    """
    name = path[-1]
    # A parameter whose name is part of its new path was moved, not renamed: see the loop below.
    if name not in (new := RENAMED.get(name, name)).split("."):
        return f"{'.'.join(path)} is now called {new}"
    for short, parameter in PARAMETERS.items():
        if name in (short, parameter.path[-1]) and parameter.path[0] != name:
            return f"{'.'.join(path)} is in another place: write {parameter.dotted}"
    names = {
        alias: parameter.dotted
        for short, parameter in PARAMETERS.items()
        for alias in (short, parameter.path[-1], parameter.dotted)
    } | {other: other for other in others}
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {names[near[0]]}?" if near else ""
    return f"there is no parameter {'.'.join(path)}{hint}"
