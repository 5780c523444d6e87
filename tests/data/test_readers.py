from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from optkit.core.errors import UsageError
from optkit.data.readers import npz, table
from optkit.data.readers import parquet as parquet_reader
from optkit.data.source import load_dataset

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

    Make = Callable[..., Path]


def csv_folder(tiny: Make, text: str | bytes, **changes: Any) -> Path:  # noqa: ANN401  # any YAML
    sections: dict[str, Any] = {
        "files": {"table.csv": {}},
        "reader": {"csv": {}},
        "splits": None,
        "inputs": {"x": {"columns": ["a", "b"], "dtype": "float32"}, "id": {"dtype": "int64"}},
        "labels": {"column": "kind", "classes": ["cat", "dog"]},
    }
    folder = tiny(**(sections | changes))
    (folder / "table.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def test_csv(tiny: Make) -> None:
    text = '\ufeffid,a,b,kind,note\r\n9007199254740993,1,2.5,dog,hello\r\n2,-3e1,4,cat,"x, y"\r\n'
    (batch,) = load_dataset(csv_folder(tiny, text)).batches(4)
    assert batch.inputs["x"].tolist() == [[1.0, 2.5], [-30.0, 4.0]]
    assert batch.inputs["id"].tolist() == [9007199254740993, 2]
    assert batch.labels is not None
    assert batch.labels.tolist() == [1, 0]


def test_csv_delimiter_and_number_labels(tiny: Make) -> None:
    folder = csv_folder(
        tiny, "id;a;b;kind\n1;2;3;0.25\n", reader={"csv": {"delimiter": ";"}}, labels={"column": "kind"}
    )
    assert load_dataset(folder).sample(0).label == 0.25


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id,a,c,kind\n1,2,3,cat\n", r"table\.csv has no `b`"),
        ("id,a,b,kind\n1,2,cat\n", r"table\.csv:2  has 3 cells, the header 4"),
        ("id,a,b,kind\n1,2,3,catt\n", "did you mean 'cat'"),
        ("id,a,b,kind\n", "holds no samples"),
        ("", r"table\.csv has no"),
        (b"id,a,b,kind\n1,2,3,\xff\n", "no CSV in UTF-8"),
        ('id,a,b,kind\n1,"2"x,3,cat\n', "no CSV in UTF-8"),
    ],
)
def test_bad_csv(tiny: Make, text: str | bytes, expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        load_dataset(csv_folder(tiny, text))


@pytest.mark.parametrize(("cell", "expected"), [("", "is empty"), ("many", "is 'many', not a number"), ("nan", "NaN")])
def test_bad_csv_cell(tiny: Make, cell: str, expected: str) -> None:
    dataset = load_dataset(csv_folder(tiny, f"id,a,b,kind\n1,{cell},3,cat\n"))
    with pytest.raises(UsageError, match=f"row 0, input `x`: .*{expected}"):
        dataset.sample(0)


def parquet_folder(tiny: Make, columns: dict[str, Any], **changes: Any) -> Path:  # noqa: ANN401  # any YAML
    sections: dict[str, Any] = {
        "files": {"table.parquet": {}},
        "reader": {"parquet": {}},
        "splits": None,
        "inputs": {"ids": {"dtype": "int64"}},
        "labels": {"column": "score"},
    }
    folder = tiny(**(sections | changes))
    parquet.write_table(pa.table(columns), folder / "table.parquet")
    return folder


def test_parquet_sequences_of_varying_length(tiny: Make) -> None:
    columns = {"ids": [[1, 2, 3], [4, 5, 6], [7], [8, 9]], "score": [0.5, 1.0, 1.5, 2.0], "other": ["a", "b", "c", "d"]}
    batches = list(load_dataset(parquet_folder(tiny, columns)).batches(8))
    assert [batch.inputs["ids"].tolist() for batch in batches] == [[[1, 2, 3], [4, 5, 6]], [[7]], [[8, 9]]]
    assert [batch.start for batch in batches] == [0, 2, 3]
    assert [float(label) for batch in batches if batch.labels is not None for label in batch.labels] == [0.5, 1, 1.5, 2]


def test_parquet_rows_over_several_files(tiny: Make) -> None:
    changes = {"files": {"table.parquet": {}, "more.parquet": {}}, "splits": {"part": {"rows": [1, 3]}}, "labels": None}
    folder = parquet_folder(tiny, {"ids": [[1], [2]]}, **changes)
    parquet.write_table(pa.table({"ids": [[3], [4]]}), folder / "more.parquet")
    dataset = load_dataset(folder, "part")
    assert [dataset.sample(row).inputs["ids"].tolist() for row in range(2)] == [[2], [3]]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "null"),
        ([None, 1], "not numbers"),
        ([], "is empty"),
        (["a"], "not numbers"),
        ([[1], [2, 3]], "different lengths"),
    ],
)
def test_bad_parquet_cell(tiny: Make, value: object, expected: str) -> None:
    dataset = load_dataset(parquet_folder(tiny, {"ids": [value], "score": [1.0]}))
    with pytest.raises(UsageError, match=f"row 0, input `ids`: .*{expected}"):
        dataset.sample(0)


def test_parquet_without_the_column(tiny: Make) -> None:
    with pytest.raises(UsageError, match="has no `ids`\ndid you mean 'idx'"):
        load_dataset(parquet_folder(tiny, {"idx": [1], "score": [1.0]}))


def test_damaged_parquet(tiny: Make) -> None:
    folder = parquet_folder(tiny, {"ids": [[1]], "score": [1.0]})
    content = (folder / "table.parquet").read_bytes()
    (folder / "table.parquet").write_bytes(content[:-20])
    with pytest.raises(UsageError, match=r"table\.parquet: damaged"):
        load_dataset(folder)


def test_parquet_files_that_differ(tiny: Make) -> None:
    folder = parquet_folder(tiny, {"ids": [[1]]}, files={"table.parquet": {}, "more.parquet": {}}, labels=None)
    parquet.write_table(pa.table({"ids": ["text"]}), folder / "more.parquet")
    with pytest.raises(UsageError, match="columns differ"):
        load_dataset(folder)


def picture(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (6, 4)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def image_folder(tiny: Make, **changes: Any) -> Path:  # noqa: ANN401  # any YAML
    sections: dict[str, Any] = {
        "files": {"photos": {}},
        "reader": {"images": {}},
        "splits": None,
        "inputs": {"image": {}},
        "labels": {"classes": ["cat", "dog"]},
    }
    folder: Path = tiny(**(sections | changes))
    picture(folder / "photos" / "cat" / "1.png", (255, 0, 0))
    picture(folder / "photos" / "dog" / "2.PNG", (0, 51, 102))
    (folder / "photos" / "notes.txt").write_text("no image")
    picture(folder / "photos" / ".thumbnails" / "1.png", (1, 1, 1))
    return folder


def test_images_in_class_folders(tiny: Make) -> None:
    dataset = load_dataset(image_folder(tiny))
    (batch,) = dataset.batches(4)
    assert batch.inputs["image"].shape == (2, 3, 4, 6)
    assert batch.inputs["image"].dtype == np.uint8
    assert batch.inputs["image"][1, :, 0, 0].tolist() == [0, 51, 102]
    assert batch.labels is not None
    assert batch.labels.tolist() == [0, 1]


def test_images_normalised_per_channel(tiny: Make) -> None:
    options = {"scale": 1 / 255, "mean": [0.0, 0.2, 0.0], "std": [1.0, 1.0, 0.4], "dtype": "float32"}
    dataset = load_dataset(image_folder(tiny, inputs={"image": options}))
    np.testing.assert_allclose(dataset.sample(1).inputs["image"][:, 1, 1], [0.0, 0.0, 1.0], atol=1e-6)


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"layout": "nhwc"}, (4, 6, 3)),
        ({"mode": "L"}, (1, 4, 6)),
        ({"mode": "L", "layout": "nhwc"}, (4, 6, 1)),
        ({"resize": 8}, (3, 8, 12)),
        ({"resize": [5, 7]}, (3, 5, 7)),
        ({"resize": 8, "crop": 8, "interpolation": "bicubic"}, (3, 8, 8)),
        ({"crop": [2, 4]}, (3, 2, 4)),
    ],
)
def test_image_shapes(tiny: Make, options: dict[str, Any], shape: tuple[int, ...]) -> None:
    assert load_dataset(image_folder(tiny, inputs={"image": options})).sample(0).inputs["image"].shape == shape


def test_crop_takes_the_centre(tiny: Make) -> None:
    folder = image_folder(tiny, inputs={"image": {"mode": "L", "crop": 2}})
    pixels = np.arange(24, dtype=np.uint8).reshape(4, 6)
    Image.fromarray(pixels).save(folder / "photos" / "cat" / "1.png")
    np.testing.assert_array_equal(load_dataset(folder).sample(0).inputs["image"][0], pixels[1:3, 2:4])


def test_images_listed_in_a_table(tiny: Make) -> None:
    folder = image_folder(
        tiny,
        files={"list.csv": {}, "photos": {}},
        inputs={"left": {"column": "left"}, "right": {"column": "right"}},
        labels={"column": "age"},
    )
    (folder / "list.csv").write_text("left,right,age\nphotos/dog/2.PNG,photos/cat/1.png,41\n")
    sample = load_dataset(folder).sample(0)
    assert sample.inputs["left"][2, 0, 0] == 102
    assert sample.inputs["right"][0, 0, 0] == 255
    assert sample.label == 41


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("photos/cat/9.png", "is missing"),
        ("../secret.png", "lies outside"),
        ("/etc/passwd", "lies outside"),
        ("photos/link.png", "lies outside"),
    ],
)
def test_tables_list_only_the_datasets_images(tiny: Make, tmp_path: Path, entry: str, expected: str) -> None:
    folder = image_folder(tiny, files={"list.csv": {}}, labels=None)
    picture(tmp_path / "secret.png", (0, 0, 0))
    (folder / "photos" / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "list.csv").write_text(f"file\n{entry}\n")
    with pytest.raises(UsageError, match=expected):
        load_dataset(folder)


def test_image_column_without_a_table(tiny: Make) -> None:
    with pytest.raises(UsageError, match=r"no column `left` without a \.csv table"):
        load_dataset(image_folder(tiny, inputs={"image": {"column": "left"}}))


def test_unknown_class_folder(tiny: Make) -> None:
    folder = image_folder(tiny)
    picture(folder / "photos" / "bird" / "3.png", (0, 0, 0))
    with pytest.raises(UsageError, match="label 'bird' is no class"):
        load_dataset(folder)


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n"])
def test_damaged_image(tiny: Make, tmp_path: Path, content: bytes) -> None:
    folder = image_folder(tiny)
    (folder / "photos" / "cat" / "1.png").write_bytes(content)
    dataset = load_dataset(folder)
    with pytest.raises(UsageError, match=r"row 0, input `image`: 1\.png: no readable image") as caught:
        dataset.sample(0)
    assert str(tmp_path) not in caught.value.message


def test_truncated_image(tiny: Make) -> None:
    folder = image_folder(tiny)
    path = folder / "photos" / "cat" / "1.png"
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(UsageError, match="no readable image"):
        load_dataset(folder).sample(0)


def test_decompression_bomb(tiny: Make) -> None:
    folder = image_folder(tiny)
    Image.new("1", (10_000, 10_000)).save(folder / "photos" / "cat" / "1.png")
    with pytest.raises(UsageError, match=r"no readable image.*exceeds limit"):
        load_dataset(folder).sample(0)


def test_crop_larger_than_the_image(tiny: Make) -> None:
    with pytest.raises(UsageError, match="4 by 6 pixels are too few to cut 5 by 5 from"):
        load_dataset(image_folder(tiny, inputs={"image": {"crop": 5}})).sample(0)


def one_row_csv(tiny: Make) -> Path:
    return csv_folder(tiny, "id,a,b,kind\n1,2,3,cat\n")


def one_row_parquet(tiny: Make) -> Path:
    return parquet_folder(tiny, {"ids": [[1]], "score": [1.0]})


def default_npz(tiny: Make) -> Path:
    return tiny()


@pytest.mark.parametrize(
    ("module", "make"), [(table, one_row_csv), (parquet_reader, one_row_parquet), (npz, default_npz)]
)
def test_oversized_files_are_refused_unread(
    tiny: Make, monkeypatch: pytest.MonkeyPatch, module: ModuleType, make: Callable[[Make], Path]
) -> None:
    folder = make(tiny)
    load_dataset(folder)
    monkeypatch.setattr(module, "MAX_BYTES", 8)
    with pytest.raises(UsageError, match="GiB"):
        load_dataset(folder)
