"""EfficientNet-Lite0: inverted residual blocks with ReLU6 and without squeeze-and-excitation, made for int8.

The names of the parameters are those of the published weights.

Source: M. Tan, Q. Le, EfficientNet, ICML 2019 (arXiv 1905.11946), and the Lite variants of its authors' repository.
"""

import torch
from torch import nn

STAGES = (  # blocks, kernel, stride of the first block, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM, HEAD = 32, 1280
EPSILON = 1e-3


class SameConv(nn.Conv2d):
    """A convolution that pads as TensorFlow does: an odd row or column goes to the bottom and the right."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        """Takes the numbers of channels and the geometry; a stride of 2 needs even sizes."""
        before = (kernel - stride) // 2
        uneven = (kernel - stride) % 2
        super().__init__(channels_in, channels_out, kernel, stride, padding=before, groups=groups, bias=False)
        self.pad = nn.ZeroPad2d((before, before + uneven) * 2) if uneven else nn.Identity()
        if uneven:
            self.padding = (0, 0)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Takes and returns float32[batch, channels, height, width]."""
        return super().forward(self.pad(image))


def norm(channels: int) -> nn.BatchNorm2d:
    """Returns the batch normalisation that follows every convolution."""
    return nn.BatchNorm2d(channels, eps=EPSILON)


class Block(nn.Module):
    """Expand, filter each channel, project; the input is added where shapes allow."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int, expansion: int) -> None:
        """Takes the numbers of channels and the geometry of the depthwise convolution."""
        super().__init__()
        inner = channels_in * expansion
        self.expands = expansion > 1
        self.adds = stride == 1 and channels_in == channels_out
        if self.expands:
            self._expand_conv, self._bn0 = SameConv(channels_in, inner, kernel=1), norm(inner)
        self._depthwise_conv, self._bn1 = SameConv(inner, inner, kernel, stride, groups=inner), norm(inner)
        self._project_conv, self._bn2 = SameConv(inner, channels_out, kernel=1), norm(channels_out)
        self.activation = nn.ReLU6()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Takes and returns float32[batch, channels, height, width]."""
        hidden = self.activation(self._bn0(self._expand_conv(image))) if self.expands else image
        hidden = self.activation(self._bn1(self._depthwise_conv(hidden)))
        projected: torch.Tensor = self._bn2(self._project_conv(hidden))
        return projected + image if self.adds else projected


class EfficientNetLite0(nn.Module):
    """The classifier of 224 by 224 pixel photographs: 4.65 M parameters."""

    def __init__(self, classes: int) -> None:
        """Takes the number of classes."""
        super().__init__()
        self._conv_stem, self._bn0 = SameConv(3, STEM, kernel=3, stride=2), norm(STEM)
        self._blocks = nn.ModuleList(blocks())
        self._conv_head, self._bn1 = SameConv(STAGES[-1][-1], HEAD, kernel=1), norm(HEAD)
        self._fc = nn.Linear(HEAD, classes)
        self.activation, self.pool = nn.ReLU6(), nn.AdaptiveAvgPool2d(1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Takes float32[batch, 3, 224, 224], pixels as (value - 127) / 128, and returns float32[batch, classes]."""
        hidden = self.activation(self._bn0(self._conv_stem(image)))
        for block in self._blocks:
            hidden = block(hidden)
        hidden = self.activation(self._bn1(self._conv_head(hidden)))
        logits: torch.Tensor = self._fc(self.pool(hidden).flatten(1))
        return logits


def blocks() -> list[Block]:
    """Returns the blocks of all stages, in order."""
    found, channels_in = [], STEM
    for count, kernel, stride, expansion, channels in STAGES:
        for index in range(count):
            found.append(Block(channels_in, channels, kernel, stride if index == 0 else 1, expansion))
            channels_in = channels
    return found


def build(classes: int = 1000) -> nn.Module:
    """Returns the network with fresh weights; the recipe names this function."""
    return EfficientNetLite0(classes)
