"""Who may ask the page, and for how much."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from caelab.app import guard


@pytest.fixture(scope="module")
def strict(app_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from starlette.testclient import TestClient

    from caelab.app.server import make_app

    app = make_app(
        runs=app_runs,
        folder=tmp_path_factory.mktemp("jobs"),
        hosts={"127.0.0.1:7860"},
        origins={"https://lab.example.org"},
    )
    with TestClient(app, base_url="http://127.0.0.1:7860") as client:
        yield client


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:7860", 200), ("evil.example:7860", 403), ("127.0.0.1:80", 403), ("", 403)],
)
def test_only_its_own_names(strict: Any, host: str, status: int) -> None:
    assert strict.get("/understand", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:7860", 400),  # allowed, and without a picture
        ("https://lab.example.org", 400),
        ("http://evil.example", 403),
        ("null", 403),
    ],
)
def test_only_its_own_pages_send_forms(strict: Any, origin: str, status: int) -> None:
    sent = strict.post("/restore", data={"task": "colorize"}, headers={"origin": origin})
    assert sent.status_code == status


def test_a_large_body_is_refused_by_its_header_and_while_it_streams(
    strict: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "BODY_LIMIT", 100_000)
    content = b"0" * 200_000
    by_header = strict.post("/restore", files={"pictures": ("a.png", content)})
    assert by_header.status_code == 413

    def pieces() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="pictures"; filename="a.png"\r\n\r\n'
        yield content
        yield b"\r\n--x--\r\n"

    headers = {"content-type": "multipart/form-data; boundary=x"}
    streamed = strict.post("/restore", content=pieces(), headers=headers)
    assert streamed.status_code == 413


def test_every_answer_forbids_scripts_from_elsewhere(strict: Any) -> None:
    for path in ("/restore", "/nothing", "/static/app.js"):
        policy = strict.get(path).headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
