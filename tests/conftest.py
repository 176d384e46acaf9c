"""Fixtures that all tests share: an isolated cache, and small data to train on."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from caelab import DegradationKind, LayerKind, Loss, OptimizerKind, PredictionTarget
from caelab.cli import main

# onnxruntime looks for it when it is imported, and sends telemetry without it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

CIFAR10 = os.environ.get("CAELAB_DATA")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    import torch

    for item in items:
        if item.get_closest_marker("cifar10") and not CIFAR10:
            item.add_marker(pytest.mark.skip(reason="CAELAB_DATA does not name CIFAR-10's path"))
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="there is no CUDA device"))


@pytest.fixture(scope="session", autouse=True)
def isolated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the user's caches and settings out of the tests, and the network too."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setenv("XDG_CACHE_HOME", str(home / "cache"))
        patch.setenv("CAELAB_CIFAR10_URL", "http://127.0.0.1:9/cifar-10-python.tar.gz")
        patch.delenv("CAELAB_DATA", raising=False)
        yield


@pytest.fixture(autouse=True)
def registries_as_before() -> Iterator[None]:
    """Forget after each test what it registered: other tests list what is built in."""
    families = (LayerKind, DegradationKind, Loss, OptimizerKind, PredictionTarget)
    registries = [family.registry for family in families]
    before = [dict(registry._kinds) for registry in registries]
    yield
    for registry, kinds in zip(registries, before, strict=True):
        registry._kinds = kinds


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser of this machine, for tests that open pages."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    file = shutil.which("chromium") or shutil.which("google-chrome")
    if file is None:
        pytest.skip("there is no chromium on this machine")
    with api.sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=file, args=["--no-sandbox"])


@pytest.fixture
def cifar10_path() -> Path:
    """Path of real CIFAR-10; only for tests marked ``cifar10``."""
    assert CIFAR10
    return Path(CIFAR10)


@pytest.fixture
def caelab(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line in this process: a new one takes seconds to import PyTorch."""

    def caelab(*arguments: object) -> subprocess.CompletedProcess[str]:
        words = ["caelab", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", words)
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        output = capfd.readouterr()
        code = int(ended.value.code or 0)
        return subprocess.CompletedProcess(words, code, output.out, output.err)

    return caelab


@pytest.fixture
def count_calls() -> Callable[[Callable[[], object]], int]:
    """Return a function that counts the calls another makes: a measure of work, whatever the clock.

    Calls of Python functions and of built-in ones count, and their returns.
    """

    def count(function: Callable[[], object]) -> int:
        calls = 0

        def profile(*_: object) -> None:
            nonlocal calls
            calls += 1

        before = sys.getprofile()
        sys.setprofile(profile)
        try:
            function()
        finally:
            sys.setprofile(before)
        return calls

    return count


def smooth_images(count: int, size: int, seed: int = 0) -> np.ndarray:
    """Return ``uint8 (N, 3, size, size)``: random color gradients, which a small network learns."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:size, 0:size] / size
    corner, across, down = (rng.uniform(0, 1, (count, 3, 1, 1)) for _ in range(3))
    images = corner + (across - corner) * x + (down - corner) * y
    return np.clip(images * 255, 0, 255).round().astype(np.uint8)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 120 small pictures in two class folders."""
    folder = tmp_path_factory.mktemp("pictures")
    for position, image in enumerate(smooth_images(120, 16)):
        class_folder = folder / ("even", "odd")[position % 2]
        class_folder.mkdir(exist_ok=True)
        Image.fromarray(image.transpose(1, 2, 0)).save(class_folder / f"{position:03d}.png")
    return folder
