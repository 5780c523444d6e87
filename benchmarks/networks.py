"""Networks that transformers has none of, or not in the form that is wanted: recurrences, a UNet, plain attention."""

from __future__ import annotations

import torch
from torch import nn


class Recurrent(nn.Module):
    """Two layers of an LSTM or GRU, and a head on the last state."""

    def __init__(self, kind: str = "LSTM", features: int = 80, width: int = 512) -> None:
        super().__init__()
        self.core = getattr(nn, kind)(features, width, num_layers=2, batch_first=True)
        self.head = nn.Linear(width, 32)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns logits float32[batch, 32] and states float32[batch, sequence, width]."""
        states, _ = self.core(x)
        return self.head(states[:, -1]), states


class Block(nn.Sequential):
    """Two convolutions, each with GroupNorm and SiLU."""

    def __init__(self, into: int, width: int) -> None:
        layers = [
            (nn.Conv2d(source, width, 3, padding=1), nn.GroupNorm(8, width), nn.SiLU()) for source in (into, width)
        ]
        super().__init__(*(layer for group in layers for layer in group))


class UNet(nn.Module):
    """Three levels down and up again, with skips (Ronneberger et al., arXiv 1505.04597)."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        widths = [width << level for level in range(4)]
        self.down = nn.ModuleList(Block(into, out) for into, out in zip([3, *widths], widths, strict=False))
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * out, out, 2, stride=2) for out in widths[:-1])
        self.merge = nn.ModuleList(Block(2 * out, out) for out in widths[:-1])
        self.head = nn.Conv2d(width, 2, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Returns float32[batch, 2, height, width]; both sides of the image are multiples of 8."""
        skips, x = [], image
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else nn.functional.max_pool2d(x, 2))
            skips.append(x)
        for level in reversed(range(len(self.up))):
            x = self.merge[level](torch.cat([self.up[level](x), skips[level]], dim=1))
        return self.head(x)  # type: ignore[no-any-return]  # a tensor


class Layer(nn.Module):
    """A transformer's layer, normalized first; queries, keys and values have a matrix each."""

    def __init__(self, width: int, heads: int, *, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns float32[batch, sequence, width]."""
        y = self.norms[0](x)
        q, k, v = (
            part(y).unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (self.query, self.key, self.value)
        )
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        result: torch.Tensor = x + self.down(nn.functional.gelu(self.up(self.norms[1](x))))
        return result


class Transformer(nn.Sequential):
    """Layers over float32[batch, sequence, width]."""

    def __init__(self, layers: int, width: int, *, causal: bool) -> None:
        super().__init__(*(Layer(width, 12, causal=causal) for _ in range(layers)))


class Stack(nn.Module):
    """Residual blocks of LayerNorm and a perceptron: mostly weights."""

    def __init__(self, layers: int, width: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
            for _ in range(layers)
        )
        self.head = nn.Linear(width, 32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Takes float32[batch, width] and returns float32[batch, 32]."""
        for block in self.blocks:
            x = x + block(x)
        return self.head(x)  # type: ignore[no-any-return]  # a tensor
