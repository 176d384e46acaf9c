import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import caelab

pytest.importorskip("starlette", reason="the extra app is not installed")
pytest.importorskip("httpx2", reason="the test client's library is not installed")

uvicorn = pytest.importorskip("uvicorn", reason="the extra app is not installed")


def png(height: int = 40, width: int = 60, seed: int = 0) -> bytes:
    """Return a small colored picture as the bytes of a PNG."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 255, (4, 6, 3), np.uint8))
    stream = io.BytesIO()
    small.resize((width, height), Image.Resampling.BICUBIC).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="session")
def app_runs(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """A folder with finished runs, one of which fills holes, a damaged one and a subfolder's."""
    runs = tmp_path_factory.mktemp("app") / "runs"
    for number, network in enumerate(("conv4 pool conv2 | up conv3", "conv2 | conv3")):
        caelab.train(network, pictures, runs=runs, size=16, epochs=2, seed=number)
    caelab.train("dense5 | dense3h16w16", pictures, runs=runs, size=16, epochs=1)
    caelab.train("conv4 conv3", pictures, runs=runs, size=16, epochs=1, degradation="mask0.25")
    caelab.train(
        "conv4 conv9",
        pictures,
        runs=runs,
        size=16,
        epochs=1,
        degradation="gray",
        target="bins",
        loss="cross_entropy",
        bins=9,
        batch_size=16,
    )
    (runs / "damaged").mkdir()
    (runs / "damaged" / "config.json").write_text("{")
    caelab.train("conv2 pool | up conv3", pictures, runs=runs / "lab", size=16, epochs=1)
    (runs.parent / "secret.txt").write_text("secret")
    return runs


@pytest.fixture(scope="module")
def client(app_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from starlette.testclient import TestClient

    from caelab.app.server import make_app

    app = make_app(runs=app_runs, folder=tmp_path_factory.mktemp("jobs"))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def address(app_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the page on a real server."""
    from caelab.app.server import make_app

    listening = socket.create_server(("127.0.0.1", 0))
    host = f"127.0.0.1:{listening.getsockname()[1]}"
    app = make_app(runs=app_runs, folder=tmp_path_factory.mktemp("jobs"), hosts={host})
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    yield f"http://{host}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def finished(client: Any) -> Callable[[str], dict[str, Any]]:
    """Wait until the job at a URL has ended, and return its state."""

    def wait(url: str) -> dict[str, Any]:
        for _ in range(600):
            state: dict[str, Any] = client.get(f"{url}/progress").json()
            if state["state"] in ("done", "failed"):
                return state
            time.sleep(0.05)
        raise TimeoutError(url)

    return wait
