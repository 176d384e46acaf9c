import numpy as np
import torch

from caelab.data.device_images import DeviceImages

IMAGES = np.random.default_rng(0).integers(0, 256, (50, 3, 4, 6), dtype=np.uint8)


def test_batches_are_the_images_divided_by_255() -> None:
    rows = np.array([4, 7, 1, 30, 49])
    pixels = DeviceImages.of(IMAGES, rows, device=torch.device("cpu"))
    batch = pixels.batch(torch.tensor([2, 0, 0]))
    assert batch.dtype == torch.float32
    assert batch.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_allclose(batch.numpy(), IMAGES[[1, 4, 4]] / 255, rtol=0, atol=6e-8)
    assert float(batch.max()) <= 1


def test_every_byte_comes_back_exactly() -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    batch = DeviceImages.of(ramp, np.array([0]), device=torch.device("cpu")).batch(slice(0, 1))
    assert torch.equal(
        (batch * 255).round().to(torch.uint8).ravel(), torch.arange(256, dtype=torch.uint8)
    )


def test_slices_cover_all_once() -> None:
    pixels = DeviceImages.of(IMAGES, np.arange(50), device=torch.device("cpu"))
    walked = torch.cat([pixels.batch(chosen) for chosen in pixels.batches(16)])
    assert torch.equal(walked, pixels.batch(torch.arange(50)))
    assert len(pixels) == 50


def test_a_part_of_a_part_remembers_its_rows() -> None:
    pixels = DeviceImages.of(IMAGES, np.arange(10, 40), device=torch.device("cpu"))
    part = pixels.at(np.array([5, 2]))
    assert part.rows.tolist() == [15, 12]
    assert torch.equal(part.batch(slice(0, 2)), pixels.batch(torch.tensor([5, 2])))
