"""Trains model.py on the split `train` and writes weights.safetensors: the same bytes on every run on one machine.

    python recipes/mnist/train.py [--out FILE]

Takes under a minute on two cores. The split `calibration` shows progress; `test` is looked at once, at the end.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from model import build  # beside this script; mypy sees a namesake of the same signature
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from optkit.data.source import load_dataset

HERE = Path(__file__).resolve().parent
DATA = HERE.parent.parent / "calibration" / "mnist"
SEED, THREADS = 0, 2
EPOCHS, BATCH, PEAK_RATE = 12, 64, 3e-3
# Soft targets and decay keep weights and logits small, which int8 likes.
SMOOTHING, DECAY = 0.1, 0.05
ROTATION, ZOOM, SHIFT = 0.2, 0.1, 1 / 7  # radians, fraction, fraction of half the image


def load(split: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns images float32[N, 1, 28, 28] and labels int64[N]."""
    dataset = load_dataset(DATA, split)
    (batch,) = dataset.batches(len(dataset))
    return torch.from_numpy(batch.inputs["image"]), torch.from_numpy(np.asarray(batch.labels))


def distort(images: torch.Tensor) -> torch.Tensor:
    """Returns the images, each turned, zoomed and shifted a little at random."""
    count = len(images)
    angle, zoom = torch.rand(2, count).mul(2).sub(1) * torch.tensor([[ROTATION], [ZOOM]])
    shift = torch.rand(count, 2, 1).mul(2).sub(1) * SHIFT
    cosine, sine = angle.cos() * (1 + zoom), angle.sin() * (1 + zoom)
    turn = torch.stack([cosine, -sine, sine, cosine], dim=1).view(count, 2, 2)
    grid = functional.affine_grid(torch.cat([turn, shift], dim=2), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)


def accuracy(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Returns the fraction of images whose largest logit is the label's."""
    model.eval()
    with torch.inference_mode():
        return float((model(images).argmax(1) == labels).double().mean())


def train(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, epochs: int) -> None:
    """Runs one epoch after the other, with a one-cycle learning rate."""
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=DECAY)
    steps = epochs * -(-len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, total_steps=steps)
    shown = load("calibration")
    for epoch in range(epochs):
        model.train()
        for rows in torch.randperm(len(images)).split(BATCH):  # type: ignore[no-untyped-call]  # torch leaves it untyped
            loss = functional.cross_entropy(model(distort(images[rows])), labels[rows], label_smoothing=SMOOTHING)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1}/{epochs}  accuracy on calibration {accuracy(model, *shown):.3f}")


def main() -> None:
    """Trains, prints the test accuracy and writes the weights."""
    parser = argparse.ArgumentParser(description="Trains the quickstart's digit classifier.")
    parser.add_argument("--out", type=Path, default=HERE / "weights.safetensors")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    arguments = parser.parse_args()
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(mode=True)
    torch.manual_seed(SEED)
    model = build()
    train(model, *load("train"), arguments.epochs)
    print(f"test accuracy {accuracy(model, *load('test')):.4f}")
    save_file(model.state_dict(), arguments.out)


if __name__ == "__main__":
    main()
