"""``caelab app`` as a process: it starts, answers, and ends when it is asked to."""

import io
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from PIL import Image

httpx2 = pytest.importorskip("httpx2", reason="the test client's library is not installed")


@pytest.mark.skipif(sys.platform == "win32", reason="signals are other ones there")
def test_it_starts_answers_and_ends_without_leftovers(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "caelab", "app", "--port", "0"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary)},
    )
    assert process.stdout is not None
    (address,) = re.findall(r"http://[\d.:]+", process.stdout.readline())
    with urllib.request.urlopen(f"{address}/understand") as answer:
        assert answer.status == 200
    foreign = urllib.request.Request(f"{address}/restore", headers={"Host": "evil.example"})
    with pytest.raises(urllib.error.HTTPError, match="403") as refused:
        urllib.request.urlopen(foreign)
    refused.value.close()
    assert len(list(temporary.iterdir())) == 1
    # A picture that takes minutes is given up.
    stream = io.BytesIO()
    Image.new("RGB", (9000, 9000)).save(stream, "PNG")
    with httpx2.Client(base_url=address, headers={"accept": "application/json"}) as sender:
        files = {"pictures": ("large.png", stream.getvalue())}
        url = sender.post("/restore", data={"task": "denoise"}, files=files).json()["url"]
        while (state := sender.get(f"{url}/progress").json()["state"]) == "waiting":
            time.sleep(0.01)
    assert state == "running"
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    process.stdout.close()
    assert list(temporary.iterdir()) == []


def test_a_port_that_is_taken_is_said(caelab: object) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        answer = caelab("app", "--port", port)  # type: ignore[operator]
    assert answer.returncode == 2
    assert str(port) in answer.stderr


def test_it_says_which_packages_are_missing(
    caelab: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    answer = caelab("app", "--port", "0")  # type: ignore[operator]
    assert answer.returncode == 2
    assert "pip install" in answer.stderr
