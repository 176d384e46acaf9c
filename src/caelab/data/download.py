"""Download CIFAR-10 from its authors' server."""

import os
import threading
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pooch

from caelab.errors import InputError
from caelab.files import require_space
from caelab.progress import progress

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
URL_VARIABLE = "CAELAB_CIFAR10_URL"
MD5 = "c58f30108f718f92721af3b95e74349a"
ARCHIVE = "cifar-10-python.tar.gz"
BYTES = 170_498_071

RETRIES = 2
CONNECT_SECONDS = 3.0
"""Longest time for opening a connection."""

READ_SECONDS = 20.0
"""Longest time without data during the download."""

REACH_SECONDS = 6.0
"""Longest wait for the server's first answer; without an answer, the machine counts as offline."""


NO_HEAD = (400, 401, 403, 405, 501)
"""Status codes of servers that refuse a HEAD request but may still send the file."""


class UnreachableError(Exception):
    """The server cannot be reached, or each attempt to download broke off."""


def download_cifar10(folder: Path, *, url: str | None = None) -> Path:
    """Download ``cifar-10-python.tar.gz``, check it, and return its path.

    A failed attempt leaves nothing behind.

    Args:
        folder: Folder for the archive; created if it does not exist.
        url: Address of the archive. By default it is the value of the environment variable
            ``CAELAB_CIFAR10_URL``, or the official address.

    Raises:
        UnreachableError: The server does not answer within seconds, or three attempts break off.
        InputError: The downloaded file has another checksum, the disk is too full, or the folder
            cannot be written to.
    """
    url = url or os.environ.get(URL_VARIABLE) or URL
    require_reachable(url)
    require_space(folder, BYTES)
    # Messages of pooch on stderr would disturb the progress bar.
    pooch.get_logger().setLevel("ERROR")
    fetcher = pooch.create(
        path=folder,
        base_url="",
        # The authors publish only an MD5. It is enough to notice a damaged file.
        registry={ARCHIVE: f"md5:{MD5}"},
        urls={ARCHIVE: url},
        retry_if_failed=RETRIES,
    )
    with progress("fetching CIFAR-10", BYTES, unit="bytes") as advance:
        # At the end, pooch calls `reset` and then `update` with the whole size.
        bar = SimpleNamespace(update=advance, reset=lambda: advance(-BYTES), close=lambda: None)
        downloader = pooch.HTTPDownloader(progressbar=bar, timeout=(CONNECT_SECONDS, READ_SECONDS))
        try:
            return Path(fetcher.fetch(ARCHIVE, downloader=downloader))
        except ValueError as error:
            raise InputError(
                f"what {url} gives is not CIFAR-10: its MD5 is not {MD5}. Nothing was kept. Try"
                f" later, or fetch {ARCHIVE} elsewhere and name it as the data."
            ) from error
        except OSError as error:
            # Errors of the network are OSErrors, too, but have no `errno`.
            if error.errno is None:
                status = getattr(getattr(error, "response", None), "status_code", None)
                reason = f"HTTP {status}" if status else type(error).__name__
                raise UnreachableError(f"{url} broke off ({reason})") from error
            raise InputError(
                f"cannot write to {folder}: {error.strerror}. Choose another cache folder."
            ) from error


def require_reachable(url: str) -> None:
    """Ask for the headers of ``url``, so that an offline machine is noticed within seconds.

    Raises:
        UnreachableError: The server does not answer in time, or answers with an error such as 404.
    """
    problem = ["no answer"]

    def ask() -> None:
        try:
            request = urllib.request.Request(url, method="HEAD")
            with urllib.request.urlopen(request, timeout=CONNECT_SECONDS):
                problem[0] = ""
        except urllib.error.HTTPError as error:
            error.close()
            # A server that refuses only HEAD requests may still send the file.
            problem[0] = "" if error.code in NO_HEAD else f"HTTP {error.code}"
        except (OSError, ValueError) as error:
            problem[0] = str(getattr(error, "reason", error))

    # Looking up the server's name has no timeout, so it runs in a thread that can be abandoned.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(REACH_SECONDS)
    if problem[0]:
        raise UnreachableError(f"{url} cannot be reached ({problem[0]})")
