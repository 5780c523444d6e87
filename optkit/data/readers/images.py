"""Image files: in one folder per class, or listed by a CSV table with their labels."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar

from optkit.core.errors import MissingDependency, UsageError
from optkit.data.files import visible_files
from optkit.data.readers.base import STRICT, Column, Request
from optkit.data.readers.table import read_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from optkit.data.preprocessing import Layout, Preprocessing

FILE, LABEL = "file", "label"
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".pgm"})
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "PPM")


@dataclass(frozen=True, slots=True)
class Images:
    """Reads images with Pillow, each when it is asked for.

    With a .csv among the split's files, that table lists the images (paths relative to the dataset's folder).
    Otherwise every image below the split's folders counts, sorted by path, and its label is the name of its folder.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    default_column: ClassVar[str | None] = FILE
    default_layout: ClassVar[Layout | None] = "nchw"

    def read(self, request: Request) -> dict[str, Column]:
        """Returns paths, and labels as text."""
        tables = [name for name in request.files if name.endswith(".csv")]
        if tables:
            rows = [row for name in tables for row in _listed(request, name)]
        else:
            rows = [{FILE: name, LABEL: PurePosixPath(name).parent.name} for name in _found(request)]
        columns: dict[str, Column] = {}
        for name in request.wanted:
            if not tables and name not in {FILE, LABEL}:
                raise UsageError(
                    f"there is no column `{name}` without a .csv table among the files", hint="add a table"
                )
            cells = [row[name] for row in rows]
            columns[name] = [_inside(request, cell) for cell in cells] if name in request.columns else cells
        return columns

    def decode(self, value: Any, spec: Preprocessing) -> np.ndarray:  # noqa: ANN401  # a Path from `read`
        """Returns uint8[C, H, W], or uint8[H, W, C] in the layout nhwc."""
        import numpy as np

        image = _load(value, spec)
        pixels = np.asarray(image)
        if pixels.ndim == 2:  # noqa: PLR2004  # a grey image has no channel axis
            pixels = pixels[:, :, None]
        return pixels if spec.layout == "nhwc" else pixels.transpose(2, 0, 1)


def _listed(request: Request, table: str) -> Iterator[dict[str, str]]:
    return read_rows(request.root / table, table, ",", request.wanted)


def _found(request: Request) -> list[str]:
    names = (name for folder in request.files for name in visible_files(request.root, folder))
    return [name for name in names if PurePosixPath(name).suffix.lower() in SUFFIXES]


def _inside(request: Request, name: str) -> Path:
    """Returns the path of an image that a table lists, which must be one of the dataset's own files."""
    path, root = request.root / name, request.root.resolve()
    inside = path.resolve().is_relative_to(root) and not PurePosixPath(name).is_absolute()
    if not inside or ".." in PurePosixPath(name).parts:
        raise UsageError(f"image {name!r} lies outside the dataset")
    if not path.is_file():
        raise UsageError(f"image {name!r} is missing", hint="are the images among the split's files?")
    return path


def _load(path: Path, spec: Preprocessing) -> Any:  # noqa: ANN401  # a PIL image; Pillow is optional
    try:
        from PIL import Image
    except ImportError:
        raise MissingDependency("reading images needs Pillow", hint="pip install 'optkit[images]'") from None
    bomb = Image.DecompressionBombWarning
    try:
        with warnings.catch_warnings():
            # Pillow merely warns of images that are large enough to fill the memory.
            warnings.simplefilter("error", bomb)
            with Image.open(path, formats=FORMATS) as file:
                image = file.convert(spec.mode)
    except (OSError, SyntaxError, ValueError, bomb, Image.DecompressionBombError) as error:
        raise UsageError(f"{path.name}: no readable image: {str(error).replace(str(path), path.name)}") from None
    return _cropped(_resized(image, spec), spec, path.name)


def _resized(image: Any, spec: Preprocessing) -> Any:  # noqa: ANN401  # PIL images
    from PIL import Image

    if spec.resize is None:
        return image
    if isinstance(spec.resize, int):
        factor = spec.resize / min(image.size)
        width, height = (round(side * factor) for side in image.size)
    else:
        height, width = spec.resize
    return image.resize((width, height), Image.Resampling[spec.interpolation.upper()])


def _cropped(image: Any, spec: Preprocessing, shown: str) -> Any:  # noqa: ANN401  # PIL images
    if spec.crop is None:
        return image
    height, width = (spec.crop, spec.crop) if isinstance(spec.crop, int) else spec.crop
    if height > image.height or width > image.width:
        raise UsageError(f"{shown}: {image.height} by {image.width} pixels are too few to cut {height} by {width} from")
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))
