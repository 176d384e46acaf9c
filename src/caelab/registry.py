"""Registries of the kinds of each family, such as layers or losses, and plug-ins that add kinds.

Each family has a base class with a class attribute ``registry``. A kind is a subclass with a
``name``. The decorator :func:`register` adds it to its family. Plug-ins are Python modules that
call ``register``: files in the environment variable ``CAELAB_PLUGINS``, and entry points of
installed packages in the group ``caelab.plugins``.
"""

import difflib
import functools
import importlib.util
import os
import re
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from caelab.errors import InputError

KindT = TypeVar("KindT")
ClassT = TypeVar("ClassT", bound=type)

PLUGINS_VARIABLE = "CAELAB_PLUGINS"
"""Environment variable with the paths of plug-in files, separated as in ``PATH``."""


PLUGIN_HINT = (
    "If a plug-in defines it, name the plug-in's file in the environment variable"
    f" {PLUGINS_VARIABLE}."
)
"""Advice if a stored network, run or model needs a kind that is not registered."""


class Registry(Mapping[str, type[KindT]], Generic[KindT]):
    """The kinds of one family by name, in the order in which they were registered.

    The registry loads the plug-ins when somebody looks up an unknown name, iterates or asks for the
    length.

    Args:
        family: Word for one kind in messages, such as ``"layer"``.
        pattern: Regular expression that the whole name of a kind must match.
    """

    def __init__(self, family: str, *, pattern: str = "[a-z][a-z0-9_]*") -> None:
        self.family = family
        self.pattern = pattern
        self._kinds: dict[str, type[KindT]] = {}

    def register(self, kind: type[KindT]) -> type[KindT]:
        """Add ``kind`` under its ``name`` and return it.

        Raises:
            InputError: The name is missing, malformed or taken by another kind.
        """
        name = getattr(kind, "name", None)
        if not isinstance(name, str) or not re.fullmatch(self.pattern, name):
            raise InputError(
                f"the {self.family} {kind.__qualname__} has the name {name!r}: "
                f"its class attribute `name` must match {self.pattern}."
            )
        taken = self._kinds.get(name)
        # A plug-in may be imported twice, by two paths. Its classes may then register again.
        if taken is not None and _origin(taken) != _origin(kind):
            raise InputError(
                f"the {self.family} name '{name}' is taken by {_origin(taken)}: "
                f"{_origin(kind)} must choose another `name`."
            )
        self._kinds[name] = kind
        return kind

    def __getitem__(self, name: str) -> type[KindT]:
        # Built-in names do not load the plug-ins, because most commands do not need any.
        if name not in self._kinds:
            load_plugins()
        return self._kinds[name]

    def __iter__(self) -> Iterator[str]:
        load_plugins()
        return iter(self._kinds)

    def __len__(self) -> int:
        load_plugins()
        return len(self._kinds)

    def closest(self, name: str) -> str | None:
        """Return the registered name that is most similar to ``name``, or ``None``."""
        return next(iter(difflib.get_close_matches(name.lower(), list(self), n=1)), None)


def register(kind: ClassT) -> ClassT:
    """Add a class to the registry of its family. This function is a class decorator.

    >>> import caelab
    >>> @caelab.register
    ... class Cubic(caelab.Loss):
    ...     name = "cubic"
    ...     help = "cube of the absolute error"
    ...
    ...     def __call__(self, output, target):
    ...         return ((output - target).abs() ** 3).mean()
    >>> caelab.Loss.registry["cubic"].help
    'cube of the absolute error'

    Args:
        kind: A subclass of ``caelab.LayerKind``, ``Loss``, ``DegradationKind``, ``OptimizerKind``
            or ``PredictionTarget``, with a ``name``.

    Returns:
        ``kind`` itself.

    Raises:
        InputError: ``kind`` belongs to no family, or its name is malformed or taken.
    """
    registry = getattr(kind, "registry", None)
    if not isinstance(kind, type) or not isinstance(registry, Registry):
        raise InputError(
            f"cannot register {getattr(kind, '__qualname__', repr(kind))}: it must be a class"
            " derived from the base class of a family, such as caelab.LayerKind."
        )
    registry.register(kind)
    return kind


_loaded: set[str] = set()


def load_plugins() -> None:
    """Import every plug-in that was not imported before.

    Raises:
        InputError: A plug-in is missing or fails while it is imported.
    """
    plugins = {f"{entry.name} ({entry.value})": entry.load for entry in _entry_points()}
    for file in filter(None, os.environ.get(PLUGINS_VARIABLE, "").split(os.pathsep)):
        path = Path(file).resolve()
        plugins[str(path)] = partial(_import_file, path)
    for name, load in plugins.items():
        if name in _loaded:
            continue
        # Marked before the import, because the plug-in may look up a kind, which would load it.
        _loaded.add(name)
        try:
            load()
        except Exception as error:
            _loaded.discard(name)
            problem = f"{type(error).__name__}: {error}".rstrip(".")
            raise InputError(
                f"the plug-in {name} fails: {problem}. Fix it, or do not load it: uninstall it if"
                f" it is a package; if it is a file, do not name it, also not in"
                f" {PLUGINS_VARIABLE}."
            ) from error


@functools.cache
def _entry_points() -> list[Any]:
    """Return the plug-ins of installed packages. They are cached, because a search takes time."""
    from importlib.metadata import entry_points

    return list(entry_points(group="caelab.plugins"))


def _import_file(path: Path) -> None:
    name = f"caelab_plugin_{re.sub(r'[^A-Za-z0-9_]', '_', path.stem)}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError("it is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # pickle and dataclasses look up modules there
    spec.loader.exec_module(module)


def _origin(kind: type) -> str:
    """Return module and name of a class; they are the same if the module is imported twice."""
    return f"{kind.__module__}.{kind.__qualname__}"
