"""Our statistics of resamples against the libraries that compute each value from scratch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from scipy.stats import spearmanr

from optkit.measure.metrics.correlation import Correlation
from optkit.measure.metrics.f1 import F1
from optkit.measure.metrics.language import Perplexity
from optkit.measure.metrics.ranking import Auroc, AveragePrecision
from optkit.measure.metrics.segmentation import MeanIou
from optkit.measure.predictions import Predictions, Samples

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from optkit.measure.metrics.base import Metric
    from optkit.measure.metrics.f1 import Average

seeds = st.integers(0, 2**16)


def samples(values: ArrayLike) -> Samples:
    array = np.asarray(values)
    return Samples(array.reshape(-1), np.tile(np.array(array.shape[1:], np.int64), (len(array), 1)))


def of(outputs: ArrayLike, labels: ArrayLike) -> Predictions:
    return Predictions({"y": samples(outputs)}, samples(labels))


def check(metric: Metric, outputs: NDArray[Any], labels: NDArray[Any], expected: Callable[..., Any], seed: int) -> None:
    """The value, and that of a draw in which samples come several times or not at all."""
    predictions = of(outputs, labels)
    scores = metric.scores(predictions, predictions)
    assert scores.value == pytest.approx(float(expected(outputs, labels)), rel=1e-5)
    drawn = np.random.default_rng(seed).integers(0, len(labels), len(labels))
    weights = np.bincount(drawn, minlength=len(labels)).astype(float)
    assert scores.values(weights[None])[0] == pytest.approx(float(expected(outputs[drawn], labels[drawn])), rel=1e-5)


def classified(seed: int, classes: int = 4) -> tuple[NDArray[Any], NDArray[Any]]:
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(60) % classes)
    return random.normal(size=(60, classes)) + 1.5 * np.eye(classes)[labels], labels


def several_labels(seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
    random = np.random.default_rng(seed)
    labels = (random.random((60, 3)) < 0.4).astype(np.int64)
    return np.round(random.random((60, 3)) * 0.5 + 0.5 * labels, 1), labels


def torch_metric(name: str, **arguments: str | float) -> Callable[[NDArray[Any], NDArray[Any]], float]:
    import torch
    import torchmetrics

    kind = getattr(torchmetrics.classification, name, None) or getattr(torchmetrics.text, name)

    def value(outputs: NDArray[Any], labels: NDArray[Any]) -> float:
        return float(kind(**arguments)(torch.from_numpy(outputs), torch.from_numpy(labels)))

    return value


@pytest.mark.parametrize("average", ["macro", "micro"])
@given(seed=seeds)
@settings(max_examples=4, deadline=None)
def test_f1_is_torchmetrics(average: Average, seed: int) -> None:
    outputs, labels = classified(seed)
    check(F1("y", average), outputs, labels, torch_metric("MulticlassF1Score", num_classes=4, average=average), seed)


@pytest.mark.parametrize("average", ["macro", "micro"])
@given(seed=seeds)
@settings(max_examples=4, deadline=None)
def test_f1_of_several_labels_is_torchmetrics(average: Average, seed: int) -> None:
    outputs, labels = several_labels(seed)
    check(
        F1("y", average, threshold=0.45), outputs, labels,
        torch_metric("MultilabelF1Score", num_labels=3, average=average, threshold=0.45), seed,
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore:No positive samples in targets")
@given(seed=seeds)
@settings(max_examples=4, deadline=None)
def test_f1_of_yes_and_no_is_torchmetrics(seed: int) -> None:
    outputs, labels = several_labels(seed)
    check(F1("y"), outputs[:, 0], labels[:, 0], torch_metric("BinaryF1Score"), seed)


@pytest.mark.parametrize(("metric", "name"), [(Auroc("y"), "AUROC"), (AveragePrecision("y"), "AveragePrecision")])
@given(seed=seeds)
@settings(max_examples=4, deadline=None)
def test_rankings_are_torchmetrics(metric: Metric, name: str, seed: int) -> None:
    logits, labels = classified(seed)
    probabilities = softmax(logits, axis=1)
    several = torch_metric(f"Multiclass{name}", num_classes=4)
    check(metric, probabilities, labels, several, seed)
    check(metric, logits, labels, lambda outputs, truth: several(softmax(outputs, axis=1), truth), seed)
    check(metric, *several_labels(seed), torch_metric(f"Multilabel{name}", num_labels=3), seed)
    two, yes = classified(seed, classes=2)
    binary = torch_metric(f"Binary{name}")
    check(metric, two, yes, lambda outputs, truth: binary(softmax(outputs, axis=1)[:, 1], truth), seed)
    check(metric, several_labels(seed)[0][:, :1], several_labels(seed)[1][:, 0], lambda o, t: binary(o[:, 0], t), seed)


@given(seed=seeds)
@settings(max_examples=4, deadline=None)
def test_miou_is_torchmetrics(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, (12, 5, 4))
    decided = np.where(random.random(labels.shape) < 0.7, labels, random.integers(0, 3, labels.shape))
    expected = torch_metric("MulticlassJaccardIndex", num_classes=3, ignore_index=255)
    labels[random.random(labels.shape) < 0.1] = 255
    check(MeanIou("y", classes=3), decided, labels, expected, seed)
    scores = np.moveaxis(np.eye(3)[decided], -1, 1)
    check(MeanIou("y"), scores, labels, lambda outputs, truth: expected(outputs.argmax(axis=1), truth), seed)


@given(seed=seeds)
@settings(max_examples=4, deadline=None)
def test_perplexity_is_torchmetrics(seed: int) -> None:
    random = np.random.default_rng(seed)
    logits, labels = random.normal(size=(8, 6, 5)), random.integers(0, 5, (8, 6))
    labels[random.random(labels.shape) < 0.2] = -100
    expected = torch_metric("Perplexity", ignore_index=-100)
    check(Perplexity("y"), logits, labels, expected, seed)
    check(Perplexity("y", shift=1), logits, labels, lambda o, t: expected(o[:, :-1].copy(), t[:, 1:].copy()), seed)


@given(seed=seeds)
@settings(max_examples=8, deadline=None)
def test_rank_correlation_of_a_draw_is_scipys(seed: int) -> None:
    random = np.random.default_rng(seed)
    outputs, labels = random.integers(0, 9, 40).astype(float), random.normal(size=40)
    check(Correlation("y", "spearman"), outputs[:, None], labels, lambda o, t: spearmanr(o[:, 0], t).statistic, seed)


@pytest.mark.parametrize(
    ("metric", "name"), [(Auroc("y"), "BinaryAUROC"), (AveragePrecision("y"), "BinaryAveragePrecision")]
)
@given(seed=seeds)
@settings(max_examples=8, deadline=None)
def test_rankings_of_a_draw_in_which_most_scores_tie_are_torchmetrics(metric: Metric, name: str, seed: int) -> None:
    scores, labels = np.random.default_rng(seed).integers(0, 6, (50, 1)) / 5, np.arange(50) % 2
    expected = torch_metric(name)
    check(metric, scores, labels, lambda outputs, truth: expected(outputs[:, 0], truth), seed)
