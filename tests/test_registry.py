"""Registries and plug-ins: names are unique, and a plug-in that fails is named."""

import os

import pytest

from caelab.errors import InputError
from caelab.registry import PLUGINS_VARIABLE, Registry, register


class Shape:
    registry: Registry["Shape"] = Registry("shape")
    name = ""


@pytest.fixture(autouse=True)
def _empty(monkeypatch):
    monkeypatch.setattr(Shape, "registry", Registry("shape"))


def test_a_kind_is_found_by_its_name():
    @register
    class Circle(Shape):
        name = "circle"

    assert Shape.registry["circle"] is Circle
    assert list(Shape.registry) == ["circle"]
    assert Shape.registry.closest("circl") == "circle"
    assert "square" not in Shape.registry


def test_a_taken_name_is_refused():
    register(type("Circle", (Shape,), {"name": "circle"}))
    with pytest.raises(InputError, match="'circle' is taken"):
        register(type("Other", (Shape,), {"name": "circle"}))


@pytest.mark.parametrize("name", ["", "Circle", "two words", None, 3])
def test_a_malformed_name_is_refused(name):
    with pytest.raises(InputError, match="name"):
        register(type("Circle", (Shape,), {"name": name}))


@pytest.mark.parametrize("kind", [int, 3, "circle", lambda: None])
def test_what_belongs_to_no_family_is_refused(kind):
    with pytest.raises(InputError, match="derived from"):
        register(kind)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("import no_such_module", "no_such_module"),
        ("(", "SyntaxError"),
    ],
)
def test_a_plug_in_that_fails_is_named(tmp_path, monkeypatch, source, expected):
    file = tmp_path / "broken.py"
    file.write_text(source)
    monkeypatch.setenv(PLUGINS_VARIABLE, os.pathsep.join([str(file)]))
    for _ in range(2):  # the second lookup must not pass in silence
        with pytest.raises(InputError, match=expected) as error:
            list(Shape.registry)
        assert "broken.py" in str(error.value)


def test_a_missing_plug_in_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv(PLUGINS_VARIABLE, str(tmp_path / "absent.py"))
    with pytest.raises(InputError, match=r"absent\.py"):
        list(Shape.registry)


def test_a_plug_in_file_registers(tmp_path, monkeypatch):
    file = tmp_path / "square.py"
    file.write_text(
        "from tests_shape import Shape\n"
        "from caelab.registry import register\n"
        "@register\nclass Square(Shape):\n    name = 'square'\n"
    )
    import sys
    import types

    module = types.ModuleType("tests_shape")
    module.Shape = Shape
    monkeypatch.setitem(sys.modules, "tests_shape", module)
    monkeypatch.setenv(PLUGINS_VARIABLE, str(file))
    assert Shape.registry["square"].name == "square"
