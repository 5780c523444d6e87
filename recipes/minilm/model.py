"""all-MiniLM-L6-v2, a sentence encoder, with a linear head that tells positive sentences from negative ones.

The names of the parameters are those of the published weights.

Source: W. Wang et al., MiniLM, NeurIPS 2020 (arXiv 2002.10957); J. Devlin et al., BERT (arXiv 1810.04805).
"""

import math

import torch
from torch import nn
from torch.nn import functional

VOCABULARY, POSITIONS, TYPES = 30522, 512, 2
WIDTH, HEADS, INNER, LAYERS = 384, 12, 1536, 6
EPSILON = 1e-12
HIDDEN = -10000.0  # added to the scores of padding: far enough down for softmax, still a half-precision number


class Embeddings(nn.Module):
    """What a token is and where it stands; all tokens are of the first of two types."""

    def __init__(self) -> None:
        """Makes the three tables."""
        super().__init__()
        self.word_embeddings = nn.Embedding(VOCABULARY, WIDTH)
        self.position_embeddings = nn.Embedding(POSITIONS, WIDTH)
        self.token_type_embeddings = nn.Embedding(TYPES, WIDTH)
        self.LayerNorm = nn.LayerNorm(WIDTH, EPSILON)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Takes int64[batch, sequence] and returns float32[batch, sequence, width]."""
        places = torch.arange(tokens.shape[1], device=tokens.device)
        fixed = self.position_embeddings(places) + self.token_type_embeddings.weight[0]
        normal: torch.Tensor = self.LayerNorm(self.word_embeddings(tokens) + fixed)
        return normal


class SelfAttention(nn.Module):
    """Scaled dot-product attention of several heads."""

    def __init__(self) -> None:
        """Makes the three projections."""
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))

    def forward(self, hidden: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """Takes and returns float32[batch, sequence, width]; `bias` is added to the scores."""
        query, key, value = (self.split(part(hidden)) for part in (self.query, self.key, self.value))
        scores = query @ key.transpose(-1, -2) / math.sqrt(WIDTH // HEADS) + bias
        return (scores.softmax(-1) @ value).transpose(1, 2).flatten(2)

    def split(self, hidden: torch.Tensor) -> torch.Tensor:
        """Returns float32[batch, heads, sequence, width of a head]."""
        return hidden.reshape(*hidden.shape[:-1], HEADS, WIDTH // HEADS).transpose(1, 2)


class Residual(nn.Module):
    """A linear layer whose result is added to what went around it, and normalised."""

    def __init__(self, channels_in: int) -> None:
        """Takes the width of what the layer reads."""
        super().__init__()
        self.dense, self.LayerNorm = nn.Linear(channels_in, WIDTH), nn.LayerNorm(WIDTH, EPSILON)

    def forward(self, inner: torch.Tensor, around: torch.Tensor) -> torch.Tensor:
        """Takes float32[batch, sequence, …] and returns float32[batch, sequence, width]."""
        normal: torch.Tensor = self.LayerNorm(self.dense(inner) + around)
        return normal


class Layer(nn.Module):
    """Attention, then two linear layers with GELU between them."""

    def __init__(self) -> None:
        """Makes the parts under the names of the published weights."""
        super().__init__()
        self.attention = nn.ModuleDict({"self": SelfAttention(), "output": Residual(WIDTH)})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(WIDTH, INNER)})
        self.output = Residual(INNER)

    def forward(self, hidden: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """Takes and returns float32[batch, sequence, width]."""
        hidden = self.attention["output"](self.attention["self"](hidden, bias), hidden)
        returned: torch.Tensor = self.output(functional.gelu(self.intermediate["dense"](hidden)), hidden)
        return returned


class Encoder(nn.Module):
    """All layers, one after the other."""

    def __init__(self) -> None:
        """Makes the layers."""
        super().__init__()
        self.layer = nn.ModuleList(Layer() for _ in range(LAYERS))

    def forward(self, hidden: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """Takes and returns float32[batch, sequence, width]."""
        for layer in self.layer:
            hidden = layer(hidden, bias)
        return hidden


class MiniLM(nn.Module):
    """Token ids to a sentence's direction and its sentiment."""

    def __init__(self, classes: int) -> None:
        """Takes the number of classes of the head."""
        super().__init__()
        self.embeddings, self.encoder = Embeddings(), Encoder()
        self.head = nn.Linear(WIDTH, classes)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Takes int64[batch, sequence] twice; the mask is 0 at padding.

        Returns:
            The embedding, float32[batch, 384] of length 1, and the logits of negative and positive, float32[batch, 2].
        """
        mask = attention_mask.to(torch.float32)
        bias = (1 - mask)[:, None, None, :] * HIDDEN
        hidden = self.encoder(self.embeddings(input_ids), bias)
        weights = mask[:, :, None]
        mean = (hidden * weights).sum(1) / weights.sum(1).clamp(min=1)
        embedding = functional.normalize(mean, dim=-1)
        return embedding, self.head(embedding)


def build(classes: int = 2) -> nn.Module:
    """Returns the network with fresh weights; the recipe names this function."""
    return MiniLM(classes)
