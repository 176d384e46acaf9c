"""Jobs: order, failures, limits, and the end of the server."""

import threading
import time
from pathlib import Path

import pytest

from caelab.app import jobs as module
from caelab.app.jobs import Job, Jobs
from caelab.errors import InputError


def wait(job: Job) -> Job:
    for _ in range(500):
        if job.ended:
            return job
        time.sleep(0.01)
    raise TimeoutError(job.title)


def test_a_failure_does_not_end_the_lane(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)

    def wrong(job: Job) -> None:
        raise InputError("this is wrong.")

    def mistaken(job: Job) -> None:
        raise ZeroDivisionError

    first, second, third = (jobs.new("test", 1) for _ in range(3))
    jobs.start(first, wrong)
    jobs.start(second, mistaken)
    jobs.start(third, lambda job: 7)
    assert wait(first).error == "this is wrong."
    assert "ZeroDivisionError" in str(wait(second).error)
    assert wait(third).result == 7
    jobs.close()


def test_small_jobs_do_not_wait_for_large_ones(tmp_path: Path) -> None:
    jobs, release = Jobs(tmp_path), threading.Event()
    large, small = jobs.new("large", 1), jobs.new("small", 1)
    jobs.start(large, lambda job: release.wait(10), large=True)
    jobs.start(small, lambda job: 1)
    assert wait(small).result == 1
    assert not large.ended
    release.set()
    wait(large)
    jobs.close()


def test_the_oldest_ended_jobs_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_JOBS", 3)
    jobs = Jobs(tmp_path)
    made = []
    for number in range(6):
        job = jobs.new(str(number), 1)
        jobs.start(job, lambda job: None)
        made.append(wait(job))
    assert [jobs.get(job.name) is not None for job in made] == [False] * 3 + [True] * 3
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(job.name for job in made[3:])
    jobs.close()


def test_the_end_stops_jobs_at_their_next_step(tmp_path: Path) -> None:
    jobs, begun = Jobs(tmp_path), threading.Event()

    def endless(job: Job) -> None:
        while True:
            begun.set()
            time.sleep(0.01)
            job.step()

    job = jobs.new("endless", 1)
    jobs.start(job, endless)
    begun.wait(5)
    jobs.close()
    assert job.state == "failed"
