"""Models as users write them: copied into artifacts by the fixtures, never imported from here."""

import os

import torch
from torch import Tensor, nn


class Cnn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 16, 3, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.second = nn.Conv2d(16, 16, 3, padding=1)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(16 * 4 * 4, 10)

    def forward(self, image: Tensor) -> Tensor:
        x = nn.functional.max_pool2d(torch.relu(self.norm(self.first(image))), 2)
        x = nn.functional.max_pool2d(torch.relu(x + self.second(x)), 2)
        result: Tensor = self.head(self.drop(x.flatten(1)))
        return result


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, 16)
        self.attend = nn.MultiheadAttention(16, 2, batch_first=True)
        self.norm = nn.LayerNorm(16)
        self.mix = nn.Linear(16, 16)
        self.head = nn.Linear(16, 3)

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        x = self.embed(ids)
        y, _ = self.attend(x, x, x, key_padding_mask=mask == 0, need_weights=False)
        x = self.norm(x + y)
        x = x + torch.nn.functional.gelu(self.mix(x))
        return self.head(x.mean(1)), x


class Swapped(Encoder):
    """Takes its inputs in another order than the interface lists them."""

    def forward(self, mask: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]  # on purpose
        return super().forward(ids, mask)


class Variadic(Encoder):
    """Takes whatever it is given by position, as wrappers do."""

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        return super().forward(*inputs)


class MaskedLayer(nn.Module):
    """A layer of BERT; `eager` spells attention out, `sdpa` leaves it to PyTorch."""

    def __init__(self, style: str) -> None:
        super().__init__()
        self.style = style
        self.query, self.key, self.value, self.out = (nn.Linear(32, 32) for _ in range(4))
        self.norms = nn.ModuleList([nn.LayerNorm(32), nn.LayerNorm(32)])
        self.up, self.down = nn.Linear(32, 48), nn.Linear(48, 32)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        batch, length, _ = x.shape
        q, k, v = (part(x).view(batch, length, 4, 8).transpose(1, 2) for part in (self.query, self.key, self.value))
        if self.style == "sdpa":
            y = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        else:
            y = torch.softmax(q @ k.transpose(-1, -2) / 8**0.5 + mask, -1) @ v
        x = self.norms[0](x + self.out(y.transpose(1, 2).reshape(batch, length, 32)))
        result: Tensor = self.norms[1](x + self.down(torch.nn.functional.gelu(self.up(x))))
        return result


class Masked(nn.Module):
    def __init__(self, layers: int = 2, style: str = "eager") -> None:
        super().__init__()
        self.embed = nn.Embedding(50, 32)
        self.layers = nn.ModuleList([MaskedLayer(style) for _ in range(layers)])

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        bias = (1.0 - mask[:, None, None, :].float()) * torch.finfo(torch.float32).min
        x: Tensor = self.embed(ids)
        for layer in self.layers:
            x = layer(x, bias)
        return x


class Recurrent(nn.Module):
    def __init__(self, kind: str = "GRU") -> None:
        super().__init__()
        self.core = getattr(nn, kind)(4, 16, batch_first=True)
        self.head = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        states, _ = self.core(x)
        return self.head(states[:, -1]), states


class Upsampler(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(16, 16, 4, stride=2, padding=1)
        self.out = nn.Conv2d(16, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.out(torch.relu(self.up(torch.relu(self.down(x)))))
        return result


class Linear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.layer(x)
        return result


class BranchOnSize(Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if x.shape[0] > 3 else x * 2


class BranchOnValue(Linear):
    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 3:
            return super().forward(x)
        return x * 2


class AdaptivePool(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(x, (3, 3))


class PadToEight(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.pad(x, (0, (-x.shape[1]) % 8))


class PadIfNeeded(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        over = x.shape[1] % 8
        return nn.functional.pad(x, (0, 8 - over)) if over else x


class Difference(Linear):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:  # type: ignore[override]  # two inputs
        return super().forward(x) - y


class Training(Linear):
    """Returns itself in training mode, whatever happens to it."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.train()

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = nn.functional.dropout(self.norm(super().forward(x)), 0.5, self.training)
        return result


class StaysInTraining(Training):
    """Cannot be put into eval mode in the usual way."""

    def train(self, mode: bool = True) -> "StaysInTraining":  # noqa: FBT001, FBT002, ARG002  # as torch has it
        return super().train(mode=True)


class AlwaysDropping(Linear):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(super().forward(x), 0.5, training=True)


class Counting(Linear):
    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x) + self.calls


class Fragile(Linear):
    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.RNN(1, 1)  # a model with a recurrence is traced first

    def forward(self, x: Tensor) -> Tensor:
        if torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]  # torch's stubs omit it
            os.write(1, b"about to crash")
            os.abort()
        return super().forward(x)


class Crashing(Linear):
    def forward(self, x: Tensor) -> Tensor:  # noqa: ARG002  # it gets no further
        os.abort()


class Square(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[:, 1:4].reshape(x.shape[0], 3, 1)


class Nested(Linear):
    def forward(self, x: Tensor) -> dict[str, object]:  # type: ignore[override]  # on purpose
        return {"a": super().forward(x), "none": None, "b": [x.sum(1, keepdim=True), (x * 2,)]}


def no_module() -> object:
    return lambda x: x


class NotANumber(Linear):
    def forward(self, x: Tensor) -> Tensor:
        return torch.log(-super().forward(x).abs() - 1)


class Raising(Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.reshape(7, 13))
