"""Splits are partitions, stratified, seeded."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caelab.data.image_set import ImageSet, Source
from caelab.data.split import split_images
from caelab.errors import InputError

SOURCE = Source(name="folder", where="somewhere", note="", fingerprint="0")


def image_set(
    count: int,
    labels: list[int] | None = None,
    part: list[int] | None = None,
    official: list[bool] | None = None,
) -> ImageSet:
    return ImageSet(
        images=np.zeros((count, 3, 1, 1), np.uint8),
        labels=None if labels is None else np.array(labels, np.int64),
        classes=() if labels is None else tuple(str(label) for label in range(max(labels) + 1)),
        source=SOURCE,
        part=None if part is None else np.array(part, np.int8),
        official_test=None if official is None else np.array(official),
    )


def cifar_like() -> ImageSet:
    labels = (np.random.default_rng(1).permutation(60_000) % 10).tolist()
    return image_set(60_000, labels, official=[index >= 50_000 for index in range(60_000)])


@given(st.lists(st.integers(0, 4), min_size=20, max_size=200), st.integers(0, 2**32))
def test_a_partition_within_one_image_of_its_shares(labels: list[int], seed: int) -> None:
    images = image_set(len(labels), labels)
    split = split_images(images, seed=seed)
    together = np.concatenate([split.train, split.validation, split.test])
    assert np.array_equal(np.sort(together), np.arange(len(labels)))
    for indices, share in ((split.train, 0.8), (split.validation, 0.1), (split.test, 0.1)):
        assert indices.dtype == np.int64
        assert (np.diff(indices) > 0).all()
        assert abs(len(indices) - share * len(labels)) <= 1
        for label in set(labels):
            there = sum(labels[index] == label for index in indices)
            assert abs(there - share * labels.count(label)) < 2


def test_cifar10_is_split_exactly() -> None:
    images = cifar_like()
    split = split_images(images)
    assert images.labels is not None
    for indices, each in ((split.train, 4_800), (split.validation, 600), (split.test, 600)):
        assert np.bincount(images.labels[indices]).tolist() == [each] * 10


def test_the_official_split() -> None:
    images = cifar_like()
    split = split_images(images, mode="official")
    assert np.array_equal(split.test, np.arange(50_000, 60_000))
    assert (len(split.train), len(split.validation)) == (45_000, 5_000)
    assert images.labels is not None
    shares = np.bincount(images.labels[split.validation]) / np.bincount(images.labels[:50_000])
    assert shares == pytest.approx(np.full(10, 0.1), abs=0.001)


def test_seeds() -> None:
    images = image_set(1000)
    one, again, other = (split_images(images, seed=seed).test for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert len(np.intersect1d(one, other)) < 40


def test_the_shuffle_is_what_it_always_was() -> None:
    # Published numbers depend on it.
    assert split_images(image_set(50)).test.tolist() == [2, 4, 18, 23, 36]


def test_parts_that_the_source_fixes_are_kept() -> None:
    part = [0, 1, 2] * 10 + [-1] * 20
    split = split_images(image_set(50, part=part), seed=5)
    assert set(range(0, 30, 3)) <= set(split.train.tolist())
    assert set(range(1, 30, 3)) <= set(split.validation.tolist())
    assert set(range(2, 30, 3)) <= set(split.test.tolist())
    # A part that is prescribed gets no other images.
    assert [len(indices) for indices in (split.train, split.validation, split.test)] == [30, 10, 10]
    fixed = split_images(image_set(30, part=part[:30]), seed=6)
    assert fixed.test.tolist() == list(range(2, 30, 3))


@pytest.mark.parametrize(
    ("part", "counts"), [([2] * 20 + [-1] * 80, (72, 8, 20)), ([1] * 20 + [-1] * 80, (72, 20, 8))]
)
def test_free_images_fill_the_parts_that_the_source_does_not_fix(
    part: list[int], counts: tuple[int, int, int]
) -> None:
    split = split_images(image_set(100, part=part))
    assert (len(split.train), len(split.validation), len(split.test)) == counts


def test_other_input_that_makes_no_sense() -> None:
    with pytest.raises(InputError, match="somewhere has no official test set"):
        split_images(image_set(100), mode="official")
    with pytest.raises(
        InputError, match="3 images of somewhere are too few: nothing is left for test"
    ):
        split_images(image_set(3))


def test_fewer_training_images_are_a_part_of_more_and_the_rest_stays() -> None:
    images = image_set(100)
    split = split_images(images, seed=3)
    few, more = (split_images(images, seed=3, train_size=count) for count in (10, 30))
    assert len(few.train) == 10
    assert set(few.train) < set(more.train) < set(split.train)
    assert list(few.train) == sorted(few.train)
    assert list(few.validation) == list(split.validation)
    assert list(few.test) == list(split.test)
    assert list(split_images(images, seed=3, train_size=1000).train) == list(split.train)
    assert set(split_images(images, seed=4, train_size=10).train) != set(few.train)


def test_fewer_validation_images_leave_more_for_training_and_the_same_test() -> None:
    images = image_set(300)
    split = split_images(images, seed=3)
    held_out = np.union1d(split.train, split.validation)
    few, more = (split_images(images, seed=3, val_size=count) for count in (5, 20))
    assert len(few.validation) == 5
    assert set(few.validation) < set(more.validation) < set(split.validation)
    for one in (few, more):
        assert list(np.union1d(one.train, one.validation)) == list(held_out)
        assert len(one.train) + len(one.validation) == len(held_out)
        assert list(one.train) == sorted(one.train)
        assert list(one.validation) == sorted(one.validation)
        assert list(one.test) == list(split.test)
    every = split_images(images, seed=3, val_size=1000)
    assert list(every.train) == list(split.train)
    assert list(every.validation) == list(split.validation)


def test_fewer_test_images_leave_the_other_parts_as_they_are() -> None:
    images = image_set(300)
    split = split_images(images, seed=3)
    few, more = (split_images(images, seed=3, test_size=count) for count in (5, 20))
    assert len(few.test) == 5
    assert set(few.test) < set(more.test) < set(split.test)
    assert list(few.test) == list(np.sort(few.test))
    for one in (few, more):
        assert list(one.train) == list(split.train)
        assert list(one.validation) == list(split.validation)


def test_what_validation_gives_back_may_be_trained_on() -> None:
    images = image_set(300)
    small = split_images(images, seed=3, val_size=5, train_size=200)
    assert set(small.train) & set(split_images(images, seed=3).validation)
