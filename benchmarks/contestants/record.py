"""The clock of a contestant, and its answer at the end."""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable

from benchmarks.tasks import EPOCH, Task
from caelab.experiments.environment import peak_memory_bytes

LOOKS = 4
"""How often an epoch the test error is looked at on the way to a target."""


class Record:
    """Wall and processor time by epoch, and the test error on the way to a target.

    The time of looking at the test error is no part of training: it is subtracted from the time to
    the target.
    """

    def __init__(self, task: Task, *, weights: int, data: str) -> None:
        self.task = task
        self.said: dict[str, float | str | list[list[float]]] = {"weights": weights, "data": data}
        self.epochs: list[tuple[float, float, int]] = []
        self.looks: list[list[float]] = []
        self.excluded = 0.0
        self.reached = False

    def begin(self) -> None:
        """Note the begin of an epoch."""
        self.said.setdefault("begun", self.elapsed())
        self._wall, self._cpu = time.perf_counter(), _processor_seconds()

    def end(self, images: int) -> None:
        """Note the end of an epoch over so many images."""
        _wait_for_device()
        self.epochs.append(
            (time.perf_counter() - self._wall, _processor_seconds() - self._cpu, images)
        )

    def elapsed(self) -> float:
        """Return seconds since the process started, without looks at the test error."""
        return time.time() - self.task.started - self.excluded

    def due(self, step: int, steps: int) -> bool:
        """Return true if the test error is due after ``step`` (from 1) of an epoch's ``steps``."""
        if self.task.target is None:
            return False
        return step * LOOKS // steps > (step - 1) * LOOKS // steps

    def look(self, measure: Callable[[], float]) -> bool:
        """Look at the test error; return true at the target or the time limit."""
        _wait_for_device()
        now, started = self.elapsed(), time.time()
        error = measure()
        self.looks.append([round(now, 3), error])
        self.excluded += time.time() - started
        if self.task.target is not None and error <= self.task.target and not self.reached:
            self.reached = True
            self.said["to_target"] = now
        return self.reached or now > self.task.limit

    def tell(self) -> None:
        """Print everything as one line of JSON, the process's answer."""
        if self.looks:
            self.said.update(
                looks=self.looks,
                best=min(error for _, error in self.looks),
                looked_until=self.looks[-1][0],
            )
        elif self.epochs:
            measured = self.epochs[1:] or self.epochs
            per_image = statistics.median(wall / images for wall, _, images in measured)
            wall, cpu = (sum(each[index] for each in measured) for index in (0, 1))
            self.said.update(
                first_epoch=self.epochs[0][0] / self.epochs[0][2] * EPOCH,
                seconds=per_image * EPOCH,
                images_per_second=1 / per_image,
                cores=cpu / wall,
                images=self.epochs[-1][2],
            )
        print(json.dumps({**self.said, "peak_memory": peak_memory_bytes() or 0}))
        sys.stdout.flush()


def _processor_seconds() -> float:
    """Return processor seconds of this process and its ended children.

    The children are a loader's workers, for example, which end after an epoch.
    """
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _wait_for_device() -> None:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.synchronize()
