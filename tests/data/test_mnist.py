from __future__ import annotations

from pathlib import Path

import numpy as np

from optkit.data.dataset import sample_digests
from optkit.data.source import load_dataset

MNIST = Path(__file__).parents[2] / "calibration" / "mnist"
SIZES = {"train": 3500, "calibration": 500, "test": 1000}


def test_splits_are_stratified_and_shuffled() -> None:
    for split, size in SIZES.items():
        dataset = load_dataset(MNIST, split)
        labels = np.array([dataset.sample(row).label for row in range(len(dataset))])
        assert np.bincount(labels).tolist() == [size // 10] * 10
        assert (np.diff(labels) == 0).mean() < 0.2


def test_splits_share_no_image() -> None:
    digests = [digest for split in SIZES for digest in sample_digests(load_dataset(MNIST, split))]
    assert len(set(digests)) == len(digests) == 5000


def test_images_are_what_the_model_takes() -> None:
    batch = next(load_dataset(MNIST, "calibration", 256).batches(256))
    image = batch.inputs["image"]
    assert image.shape == (256, 1, 28, 28)
    assert image.dtype == np.float32
    assert (image.min(), image.max()) == (0.0, 1.0)


def test_a_subset_covers_every_class() -> None:
    batch = next(load_dataset(MNIST, "train", 100).batches(100))
    assert batch.labels is not None
    assert set(batch.labels.tolist()) == set(range(10))
