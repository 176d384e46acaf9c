"""Load the page with five clients, and measure errors and memory.

    python tests/app/load.py 1800

starts `caelab app`, sends pictures of 0.1 to 20 megapixels for 1,800 seconds, and opens the views
of networks and codes in between. It prints the number of requests, the errors, and the resident
memory of the server after a minute and at the end. It reads the memory from /proc, so it needs
Linux.
"""

import io
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
from PIL import Image

CLIENTS = 5

MEGAPIXELS = {0.1: 6, 0.3: 5, 1: 4, 3: 2, 8: 1, 20: 0.5}
"""Sizes of the pictures, and how often each is sent."""

SMALL = 0.3
"""Megapixels up to which noise is removed, too, which takes much longer than colorizing."""

TIMEOUT = 300
"""Seconds for which a client waits for an answer, and for a job."""


def main() -> None:
    """Load a server for the seconds that the command line names, and print what was measured."""
    seconds = float(sys.argv[1])
    pictures = {size: jpeg(size, seed) for seed, size in enumerate(MEGAPIXELS)}
    with tempfile.TemporaryDirectory() as runs:
        command = [sys.executable, "-m", "caelab", "app", "--port", "0", "--runs", runs]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        (address,) = re.findall(r"http://[\d.:]+", server.stdout.readline())
        end = time.monotonic() + seconds
        done: list[str] = []
        errors: list[str] = []
        clients = [
            threading.Thread(target=client, args=(address, number, end, pictures, done, errors))
            for number in range(CLIENTS)
        ]
        for each in clients:
            each.start()
        time.sleep(min(60, seconds))
        memory = [resident(server.pid)]
        largest = memory[0]
        while any(each.is_alive() for each in clients):
            time.sleep(1)
            largest = max(largest, resident(server.pid))
        memory.append(resident(server.pid))
        server.send_signal(signal.SIGINT)
        server.wait(60)
        server.stdout.close()
    counts = {name: done.count(name) for name in sorted(set(done))}
    sys.stdout.write(
        f"{len(done)} requests: {counts}\n{len(errors)} errors: {errors[:5]}\nresident memory:"
        f" {memory[0]:.0f} MB after a minute, {memory[1]:.0f} MB at the end"
        f" ({memory[1] / memory[0]:.2f} times), {largest:.0f} MB at most\n"
    )


def jpeg(megapixels: float, seed: int) -> bytes:
    """Return a colored picture of a size."""
    side = round((megapixels * 1e6) ** 0.5)
    small = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC).save(stream, "JPEG")
    return stream.getvalue()


def client(
    address: str,
    number: int,
    end: float,
    pictures: dict[float, bytes],
    done: list[str],
    errors: list[str],
) -> None:
    """Send requests until the time ends; an error does not stop the client."""
    chance = random.Random(number)
    headers = {"accept": "application/json"}
    with httpx2.Client(base_url=address, headers=headers, timeout=TIMEOUT) as session:
        while time.monotonic() < end:
            try:
                done.append(request(session, chance, pictures))
            except Exception as error:
                errors.append(repr(error))


def request(session: Any, chance: random.Random, pictures: dict[float, bytes]) -> str:
    """Send a request of a kind that is drawn at random, and return its name."""
    kind = chance.random()
    if kind < 0.3:
        network = f"conv{chance.randint(1, 64)} pool conv8 | up conv3"
        session.get("/understand", params={"network": network}).raise_for_status()
        return "understand"
    if kind < 0.45:
        query = {"model": "best-128", "image": chance.randrange(20)}
        session.get("/code", params=query).raise_for_status()
        return "code"
    (size,) = chance.choices(list(MEGAPIXELS), list(MEGAPIXELS.values()))
    task = chance.choice(["colorize", "denoise"]) if size <= SMALL else "colorize"
    files = {"pictures": ("picture.jpg", pictures[size])}
    sent = session.post("/restore", data={"task": task, "auto": "on"}, files=files)
    url = sent.raise_for_status().json()["url"]
    limit = time.monotonic() + TIMEOUT
    while (state := session.get(f"{url}/progress").raise_for_status().json())["state"] != "done":
        if state["state"] == "failed" or time.monotonic() > limit:
            raise RuntimeError(f"{task} of {size} megapixels: {state}")
        time.sleep(0.2)
    made = session.get(f"{url}/0/result").raise_for_status()
    with (
        Image.open(io.BytesIO(made.content)) as opened,
        Image.open(io.BytesIO(pictures[size])) as given,
    ):
        if opened.size != given.size:
            raise RuntimeError(f"{opened.size} pixels are not {given.size}")
    return task


def resident(process: int) -> float:
    """Return the resident memory of a process in MB."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    assert found is not None
    return int(found[1]) / 1000


if __name__ == "__main__":
    main()
