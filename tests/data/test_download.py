"""A download is whole and right, or there is nothing and a clear word."""

import hashlib
import http.server
import shutil
import socket
import threading
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pooch
import pytest

from caelab.data import download
from caelab.data.download import UnreachableError, download_cifar10
from caelab.errors import InputError


class Server:
    """Serves ``content`` at ``url``; the first ``failures`` downloads break off in the middle."""

    def __init__(self) -> None:
        self.content = b"the real thing" * 1000
        self.failures = 0
        self.status = 200
        self.head_status = 0
        """Status of HEAD requests, where it differs."""
        self.requests: list[str] = []
        self.url = ""


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer()

        def do_GET(self) -> None:
            self.answer()
            broken = state.failures > 0
            state.failures -= 1
            self.wfile.write(state.content[: len(state.content) // 2] if broken else state.content)

        def answer(self) -> None:
            state.requests.append(self.command)
            refused = state.head_status if self.command == "HEAD" else 0
            self.send_response(refused or state.status)
            self.send_header("Content-Length", str(len(state.content)))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.url = f"http://127.0.0.1:{running.server_port}/cifar.tar.gz"
    yield state
    running.shutdown()
    running.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    monkeypatch.setattr(pooch.core.time, "sleep", lambda _: None)
    monkeypatch.setattr(
        download, "MD5", hashlib.md5(server.content, usedforsecurity=False).hexdigest()
    )


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_it_arrives_and_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    path = download_cifar10(tmp_path / "new" / "cache", url=server.url)
    assert path.read_bytes() == server.content
    assert left(tmp_path) == ["cifar-10-python.tar.gz"]
    download_cifar10(tmp_path / "new" / "cache", url=server.url)
    assert server.requests.count("GET") == 1


def test_it_is_tried_again(server: Server, tmp_path: Path) -> None:
    server.failures = 2
    assert download_cifar10(tmp_path, url=server.url).read_bytes() == server.content
    assert server.requests.count("GET") == 3


def test_a_server_that_always_breaks_off(server: Server, tmp_path: Path) -> None:
    server.failures = 9
    with pytest.raises(UnreachableError, match="broke off"):
        download_cifar10(tmp_path, url=server.url)
    assert left(tmp_path) == []


def test_the_wrong_checksum(server: Server, tmp_path: Path) -> None:
    server.content = b"something else"
    with pytest.raises(InputError, match=r"is not CIFAR-10: its MD5 is not .*Nothing was kept"):
        download_cifar10(tmp_path, url=server.url)
    assert left(tmp_path) == []


@pytest.mark.parametrize(("status", "gets"), [(403, 3), (404, 0), (500, 0)])
def test_a_server_without_it(status: int, gets: int, server: Server, tmp_path: Path) -> None:
    server.status = status
    with pytest.raises(UnreachableError, match=f"HTTP {status}"):
        download_cifar10(tmp_path, url=server.url)
    assert server.requests == ["HEAD"] + ["GET"] * gets


@pytest.mark.parametrize("status", [400, 403, 405])
def test_a_mirror_that_refuses_head_requests(status: int, server: Server, tmp_path: Path) -> None:
    server.head_status = status
    assert download_cifar10(tmp_path, url=server.url).read_bytes() == server.content


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="refused"):
        download_cifar10(tmp_path, url="http://127.0.0.1:9/cifar.tar.gz")
    assert left(tmp_path) == []


def test_a_server_that_never_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "REACH_SECONDS", 0.3)
    monkeypatch.setattr(download, "CONNECT_SECONDS", 5.0)
    before = set(threading.enumerate())
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with pytest.raises(UnreachableError, match="no answer"):
            download_cifar10(tmp_path, url=f"http://127.0.0.1:{silent.getsockname()[1]}/")
        assert set(threading.enumerate()) - before  # the request still waits, nobody else does


@pytest.mark.parametrize("url", ["", "not an address", "ftp://"])
def test_addresses_that_are_none(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAELAB_CIFAR10_URL", "http://127.0.0.1:9/from-the-environment")
    with pytest.raises(UnreachableError, match="cannot be reached") as caught:
        download_cifar10(tmp_path, url=url)
    assert ("from-the-environment" in str(caught.value)) == (not url)


def test_a_full_disk(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1, 1, 1_000_000))
    with pytest.raises(InputError, match="170 MB are needed and 1 MB are free"):
        download_cifar10(tmp_path, url=server.url)
    assert server.requests == ["HEAD"]


def test_a_cache_that_is_a_file(server: Server, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    with pytest.raises(InputError, match="cannot write to"):
        download_cifar10(tmp_path / "cache" / "below", url=server.url)
