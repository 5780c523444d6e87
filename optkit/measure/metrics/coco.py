"""Which boxes found which objects, as the COCO challenge decides it: pycocotools' own matching."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optkit.core.errors import MissingDependency

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Matches:
    """The boxes of one class, highest score first.

    Attributes:
        image: int64, (boxes,): where each box is.
        right: bool, (thresholds, boxes): whether it found an object that no other box had found.
        ignored: bool, (thresholds, boxes): whether it is neither right nor wrong, for what it found is a crowd.
        objects: int64, (images,): how many objects there are to find.
    """

    image: NDArray[Any]
    right: NDArray[Any]
    ignored: NDArray[Any]
    objects: NDArray[Any]


def match(
    found: NDArray[Any], objects: NDArray[Any], images: int, thresholds: Sequence[float], most: int
) -> list[Matches]:
    """Returns the matches of each class that has objects.

    Args:
        found: float64, (n, 7): image, left, top, width, height, score, class.
        objects: float64, (n, 7): image, left, top, width, height, class, crowd.
        images: How many images there are.
        thresholds: Intersection over union from which a box finds an object.
        most: How many boxes of an image and class count.

    Raises:
        MissingDependency: pycocotools is absent.

    Source: T.-Y. Lin et al., Microsoft COCO: Common Objects in Context (2014), and its evaluation code.
    """
    import numpy as np

    classes = np.unique(objects[:, 5]).astype(int).tolist()
    known = found[np.isin(found[:, 6], classes)]
    return [_joined(results, images) for results in _evaluated(known, objects, images, thresholds, most)]


def _evaluated(
    found: NDArray[Any], objects: NDArray[Any], images: int, thresholds: Sequence[float], most: int
) -> Iterable[list[Mapping[str, Any]]]:
    """Returns, for each class, what pycocotools says of each image that has boxes or objects of it."""
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError:
        raise MissingDependency("this metric needs pycocotools", hint="pip install 'optkit[metrics]'") from None
    with redirect_stdout(io.StringIO()):  # it prints how it gets on
        truth = COCO()
        truth.dataset = _dataset(objects, images)
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(found) if len(found) else COCO(), "bbox")
        evaluation.params.iouThrs = list(thresholds)
        evaluation.params.maxDets = [most]
        evaluation.params.areaRng = [[float("-inf"), float("inf")]]
        evaluation.evaluate()
    results: dict[int, list[Mapping[str, Any]]] = {}
    for result in filter(None, evaluation.evalImgs):
        results.setdefault(result["category_id"], []).append(result)
    return results.values()


def _dataset(objects: NDArray[Any], images: int) -> dict[str, Any]:
    rows = enumerate(objects.tolist(), 1)  # 0 would stand for no match
    annotations = [
        {
            "id": number,
            "image_id": int(image),
            "category_id": int(kind),
            "bbox": box,
            "area": 0.0,
            "iscrowd": int(crowd),
        }
        for number, (image, *box, kind, crowd) in rows
    ]
    return {
        "images": [{"id": image} for image in range(images)],
        "annotations": annotations,
        "categories": [{"id": kind} for kind in sorted({each["category_id"] for each in annotations})],
    }


def _joined(results: Sequence[Mapping[str, Any]], images: int) -> Matches:
    """Joins the images of one class; what stands after the last right box changes no precision that counts."""
    import numpy as np

    counts = np.zeros(images, np.int64)
    for each in results:
        counts[each["image_id"]] = np.count_nonzero(np.asarray(each["gtIgnore"]) == 0)
    image = np.concatenate([np.full(len(each["dtScores"]), each["image_id"]) for each in results])
    order = np.argsort(-np.concatenate([each["dtScores"] for each in results]), kind="stable")
    ignored = np.concatenate([each["dtIgnore"] for each in results], axis=1).astype(bool)[:, order]
    right = np.concatenate([each["dtMatches"] for each in results], axis=1).astype(bool)[:, order] & ~ignored
    last = int(right.any(axis=0).nonzero()[0].max(initial=-1)) + 1
    return Matches(image[order][:last].astype(np.int64), right[:, :last], ignored[:, :last], counts)
