"""Mean average precision of boxes: by hand, and against pycocotools on the same images and on resamples of them."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from optkit.core.errors import UsageError
from optkit.measure.accuracy import compare
from optkit.measure.metrics.detection import DetectionMap
from optkit.measure.predictions import Predictions, Samples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

BOXES = DetectionMap("boxes", box_scores="scores", box_classes="classes")
HALF = DetectionMap("boxes", box_scores="scores", box_classes="classes", iou=0.5)


def ragged(values: Sequence[ArrayLike], rank: int) -> Samples:
    arrays = [np.asarray(value, np.float64) for value in values]
    arrays = [array if array.size else np.zeros((0, 5)[:rank]) for array in arrays]
    return Samples(np.concatenate([array.ravel() for array in arrays]), np.array([each.shape for each in arrays]))


def of(
    boxes: Sequence[ArrayLike], scores: Sequence[ArrayLike], classes: Sequence[ArrayLike], labels: Sequence[ArrayLike]
) -> Predictions:
    outputs = {"boxes": ragged(boxes, 2), "scores": ragged(scores, 1), "classes": ragged(classes, 1)}
    return Predictions(outputs, ragged(labels, 2))


def value(metric: DetectionMap, predictions: Predictions) -> float:
    return metric.scores(predictions, predictions).value


ONE = [[0, 0, 10, 10, 0]]


def test_a_perfect_detector_and_a_blind_one() -> None:
    assert value(BOXES, of([[[0, 0, 10, 10]]], [[0.9]], [[0]], [ONE])) == 1.0
    assert value(BOXES, of([[[20, 20, 30, 30]]], [[0.9]], [[0]], [ONE])) == 0.0
    assert value(BOXES, of([[[0, 0, 10, 10]]], [[0.9]], [[1]], [ONE])) == 0.0  # the wrong class


def test_overlap_decides_by_threshold() -> None:
    """8 of 10 columns overlap: IoU 0.8, which is enough for 7 of the 10 thresholds."""
    found = of([[[0, 0, 8, 10]]], [[0.9]], [[0]], [ONE])
    assert value(BOXES, found) == pytest.approx(0.7)
    assert value(HALF, found) == 1.0


def test_precision_is_the_best_at_or_beyond_a_recall() -> None:
    """Right, wrong, right: precision 1 up to recall 0.5 (51 of the 101 recalls), then 2/3."""
    label = [[0, 0, 10, 10, 0], [20, 0, 30, 10, 0]]
    boxes = [[0, 0, 10, 10], [50, 50, 60, 60], [20, 0, 30, 10]]
    assert value(HALF, of([boxes], [[0.9, 0.8, 0.7]], [[0, 0, 0]], [label])) == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_a_second_box_on_the_same_object_is_wrong() -> None:
    twice = [[0, 0, 10, 10], [0, 0, 10, 10], [20, 0, 30, 10]]
    label = [[0, 0, 10, 10, 0], [20, 0, 30, 10, 0]]
    assert value(HALF, of([twice], [[0.9, 0.8, 0.7]], [[0, 0, 0]], [label])) == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_the_mean_is_over_classes_that_have_objects() -> None:
    label = [[0, 0, 10, 10, 0], [20, 0, 30, 10, 3]]
    assert value(HALF, of([[[0, 0, 10, 10]]], [[0.9]], [[0]], [label])) == 0.5
    assert np.isnan(value(HALF, of([[[0, 0, 10, 10]]], [[0.9]], [[0]], [[]])))


def test_padding_does_not_count() -> None:
    boxes = [[0, 0, 10, 10], [0, 0, 0, 0], [0, 0, 0, 0]]
    label = [*ONE, [0, 0, 0, 0, -1]]
    assert value(BOXES, of([boxes], [[0.1, 0.9, -np.inf]], [[0, -1, 0]], [label])) == 1.0


def test_boxes_come_in_three_formats() -> None:
    corner = DetectionMap("boxes", "scores", "classes", format="xywh", label_format="xyxy")
    assert value(corner, of([[[5, 5, 10, 20]]], [[1]], [[0]], [[[5, 5, 15, 25, 0]]])) == 1.0
    centre = DetectionMap("boxes", "scores", "classes", format="cxcywh", label_format="xywh")
    assert value(centre, of([[[10, 15, 10, 20]]], [[1]], [[0]], [[[5, 5, 10, 20, 0]]])) == 1.0


def test_outputs_may_be_one_or_two() -> None:
    label = [[0, 0, 10, 10, 1]]
    rows = Predictions({"rows": ragged([[[0, 0, 10, 10, 0.9, 1]]], 2)}, ragged([label], 2))
    assert value(DetectionMap("rows"), rows) == 1.0
    heads = {"boxes": ragged([[[0, 0, 10, 10]]], 2), "scores": ragged([[[0.1, 0.8, 0.1]]], 2)}
    assert value(DetectionMap("boxes", "scores"), Predictions(heads, ragged([label], 2))) == 1.0
    assert DetectionMap("rows").outputs == ("rows",)
    assert BOXES.outputs == ("boxes", "scores", "classes")


def random_images(seed: int, count: int = 8) -> Predictions:
    """Objects of three classes and crowds, found more or less well, twice or not at all; scores tie across images."""
    random = np.random.default_rng(seed)
    parts: dict[str, list[NDArray[Any]]] = {"boxes": [], "scores": [], "classes": [], "labels": []}
    for _ in range(count):
        there = random.integers(0, 5)
        corner, size = random.uniform(0, 80, (there, 2)), random.uniform(20, 40, (there, 2))
        kind, crowd = random.integers(0, 3, there), random.random(there) < 0.15
        label = np.column_stack([corner, corner + size, kind, crowd])
        copies = np.repeat(label, 2, axis=0)
        near = copies[:, :4] + random.normal(0, 2.5, (len(copies), 4))
        stray = random.uniform(0, 80, (2, 2))
        parts["boxes"].append(np.concatenate([near, np.concatenate([stray, stray + 9], axis=1)]))
        parts["scores"].append(random.permutation(len(copies) + 2) / 20)
        parts["classes"].append(np.concatenate([copies[:, 4], random.integers(0, 4, 2)]))
        parts["labels"].append(label)
    return of(parts["boxes"], parts["scores"], parts["classes"], parts["labels"])


def by_the_library(predictions: Predictions, images: Sequence[int]) -> tuple[float, float]:
    """What pycocotools itself says: its AP and AP50. An image may stand several times."""
    assert predictions.labels is not None
    annotations: list[dict[str, Any]] = []
    found: list[list[float]] = []
    for place, image in enumerate(images):
        for x, y, right, bottom, kind, crowd in predictions.labels[image].tolist():
            box = {"bbox": [x, y, right - x, bottom - y], "area": (right - x) * (bottom - y), "iscrowd": int(crowd)}
            annotations.append({"id": len(annotations) + 1, "image_id": place, "category_id": int(kind), **box})
        outputs = [predictions.outputs[name][image].tolist() for name in ("boxes", "scores", "classes")]
        for (x, y, right, bottom), score, kind in zip(*outputs, strict=True):
            found.append([place, x, y, right - x, bottom - y, score, kind])
    with redirect_stdout(io.StringIO()):
        truth = COCO()
        categories = [{"id": kind} for kind in range(4)]
        truth.dataset = {
            "images": [{"id": place} for place in range(len(images))], "annotations": annotations,
            "categories": categories,
        }  # fmt: skip
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(np.array(found)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0]), float(evaluation.stats[1])


@given(seed=st.integers(0, 2**16))
@settings(max_examples=4, deadline=None)
def test_values_are_pycocotools_own(seed: int) -> None:
    predictions = random_images(seed)
    drawn = np.sort(np.random.default_rng(seed).integers(0, len(predictions), len(predictions)))
    times = np.bincount(drawn, minlength=len(predictions)).astype(float)
    expected = zip(
        *(by_the_library(predictions, images) for images in (range(len(predictions)), drawn.tolist())), strict=True
    )
    for metric, (whole, part) in zip((BOXES, HALF), expected, strict=True):
        scores = metric.scores(predictions, predictions)
        assert scores.value == pytest.approx(whole, abs=1e-12)
        assert scores.values(times[None])[0] == pytest.approx(part, abs=1e-12)
        assert scores.only(times.nonzero()[0]).values(times[None, times > 0])[0] == pytest.approx(part, abs=1e-12)


def test_a_candidate_that_sees_less_is_told_from_one_that_does_not() -> None:
    baseline = random_images(1, count=120)
    same = compare("map", HALF, baseline, baseline)
    assert same.drop == 0.0
    assert -0.1 < same.drop_lower < 0.0 < same.drop_upper < 0.1  # what no image showed may still be
    moved = ragged([boxes + 6.0 for boxes in baseline.outputs["boxes"]], 2)
    worse = compare("map", HALF, baseline, Predictions({**baseline.outputs, "boxes": moved}, baseline.labels))
    assert worse.drop > worse.drop_lower > 0.05


def test_one_that_is_broken_never_passes() -> None:
    baseline = random_images(2)
    boxes = list(baseline.outputs["boxes"])
    for wrong in (np.nan, np.inf):
        boxes[3] = np.full_like(boxes[3], wrong)
        broken = Predictions({**baseline.outputs, "boxes": ragged(boxes, 2)}, baseline.labels)
        found = compare("map", BOXES, baseline, broken)
        assert np.isnan(found.candidate)
        assert "score of sample 3 is not a number" in found.note


@pytest.mark.parametrize(
    ("metric", "boxes", "label", "message"),
    [
        (BOXES, [[0, 0, 10, 10, 1]], ONE, r"shapes \(1, 5\), \(1,\), \(1,\) are no boxes with scores and classes"),
        (DetectionMap("boxes", "scores", "scores"), [[0, 0, 10, 10]], ONE, "its classes are no whole numbers"),
        (DetectionMap("boxes"), [[0, 0, 10, 10]], ONE, r"shapes \(1, 4\) are no boxes"),
        (BOXES, [[0, 0, 10, 10]], [[0, 0, 10, 10]], "needs a row for each object"),
        (BOXES, [[0, 0, 10, 10]], [[0, 0, 10, 10, 0.5]], "class that is no whole number"),
        (BOXES, [[0, 0, 10, 10]], [[20, 20, 10, 10, 0]], "box of negative size, read as xyxy"),
        (DetectionMap("boxes", "scores", "classes", iou=50), [[0, 0, 1, 1]], ONE, "iou should be above 0 and at most"),
        (DetectionMap("boxes", "confidence"), [[0, 0, 1, 1]], ONE, "no output 'confidence' to score"),
    ],
)
def test_what_does_not_fit_is_said(
    metric: DetectionMap, boxes: ArrayLike, label: Sequence[Sequence[float]], message: str
) -> None:
    outputs = {"boxes": ragged([boxes], 2), "scores": ragged([[0.9]], 1), "classes": ragged([[0]], 1)}
    labels = Samples(np.array(label, np.float64).ravel(), np.array([np.shape(label)]))
    predictions = Predictions(outputs, labels)
    with pytest.raises(UsageError, match=message):
        metric.scores(predictions, predictions)
