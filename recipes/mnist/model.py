"""A small convolutional network for 28 by 28 pixel digits."""

import torch
from torch import nn


class Block(nn.Sequential):
    """A 3 by 3 convolution, batch normalisation and ReLU."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        """Takes the numbers of channels; `stride` 2 halves height and width."""
        super().__init__(
            nn.Conv2d(channels_in, channels_out, kernel_size=3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(),
        )


class DigitNet(nn.Module):
    """Four convolutions, global average pooling and a linear layer: 131 k parameters."""

    def __init__(self, classes: int) -> None:
        """Takes the number of classes."""
        super().__init__()
        self.features = nn.Sequential(
            Block(1, 32, stride=2),
            Block(32, 64),
            nn.MaxPool2d(2),
            Block(64, 64),
            Block(64, 128, stride=2),
            nn.AdaptiveAvgPool2d(1),
        )
        self.classifier = nn.Linear(128, classes)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Takes float32[batch, 1, 28, 28] in 0 to 1 and returns the logits, float32[batch, classes]."""
        features: torch.Tensor = self.features(image)
        logits: torch.Tensor = self.classifier(features.flatten(1))
        return logits


def build(classes: int = 10) -> nn.Module:
    """Returns the network with fresh weights; the recipe names this function."""
    return DigitNet(classes)
