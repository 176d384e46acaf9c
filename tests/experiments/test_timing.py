"""Steps of networks are timed before a study; what cannot be trained stops nothing."""

from collections.abc import Callable

import pytest
import torch

from caelab.data.image_set import ImageSet
from caelab.data.split import Split
from caelab.experiments.config import RunConfig
from caelab.experiments.engines import timing
from caelab.experiments.engines.timing import NetworkTimer
from caelab.experiments.setup import load_data

Small = Callable[..., RunConfig]


@pytest.fixture
def data(small: Small, monkeypatch: pytest.MonkeyPatch) -> tuple[ImageSet, Split]:
    monkeypatch.setattr(timing, "_measured", {})
    monkeypatch.setattr(timing, "_side_by_side", {})
    return load_data(small().data)


def test_an_epoch_takes_its_steps_and_networks_alike_are_timed_once(
    small: Small, data: tuple[ImageSet, Split], monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = []

    def steps(_config: object, images: object, _labels: object, count: int) -> float:
        counts.append(count)
        assert len(images) == min(5 * small().batch_size, len(data[1].train))  # type: ignore[arg-type]
        return 0.25

    monkeypatch.setattr(timing, "time_steps", steps)
    timer = NetworkTimer(images=data[0], split=data[1])
    seconds = 0.25 * (len(data[1].train) // small().batch_size)
    assert timer.epoch_seconds(small(), 2) == seconds
    assert timer.epoch_seconds(small(seed=3, epochs=9), 2) == seconds
    assert timer.epoch_seconds(small(network="conv4 conv3"), 2) == seconds
    assert timer.epoch_seconds(small(), 1) == seconds
    assert counts == [2, 2, 1]


def test_steps_are_timed_and_leave_the_threads_as_they_were(
    small: Small, data: tuple[ImageSet, Split]
) -> None:
    before = torch.get_num_threads()
    timer = NetworkTimer(images=data[0], split=data[1])
    narrow, wide = (
        timer.epoch_seconds(small(network=f"conv{channels} conv3"), 1) for channels in (2, 256)
    )
    assert 0 < narrow < wide
    assert torch.get_num_threads() == before


def test_what_cannot_be_trained_is_left_to_its_run(
    small: Small, data: tuple[ImageSet, Split]
) -> None:
    timer = NetworkTimer(images=data[0], split=data[1])
    assert timer.epoch_seconds(small(network="conv4 pool conv3"), 1) == 0


@pytest.mark.parametrize(
    ("alone", "together", "side_by_side"),
    [(1.0, 1.5, True), (0.6, 1.5, False), (0.7, 1.5, True), (0.0, 1.5, True)],
)
def test_one_after_another_must_clearly_be_faster(
    small: Small,
    data: tuple[ImageSet, Split],
    monkeypatch: pytest.MonkeyPatch,
    alone: float,
    together: float,
    side_by_side: bool,
) -> None:
    asked = []

    def steps(_config: object, _images: object, _labels: object, count: int) -> float:
        asked.append(count)
        return alone if count == 2 else 1.0

    monkeypatch.setattr(timing, "time_steps", steps)
    monkeypatch.setattr(timing, "_time_together", lambda *_: together)
    timer = NetworkTimer(images=data[0], split=data[1])
    assert timer.side_by_side(small(), 2, 1) is side_by_side
    assert timer.slowdown == together
    assert timer.side_by_side(small(), 2, 1) is side_by_side
    assert asked == [2, 1]  # once in a process


def test_processes_are_timed_at_the_same_time(small: Small, data: tuple[ImageSet, Split]) -> None:
    images, labels = data[0].images[:80], data[0].labels
    assert timing._time_together(small(), images, labels, 2, 1) > 0
