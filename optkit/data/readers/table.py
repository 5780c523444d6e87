"""CSV tables; the first line names the columns."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from optkit.core.errors import UsageError
from optkit.data.readers.base import MAX_BYTES, STRICT, Column, Request, need_columns

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np

    from optkit.data.preprocessing import Layout, Preprocessing


@dataclass(frozen=True, slots=True)
class Csv:
    """Reads CSV files (RFC 4180) in UTF-8."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    default_column: ClassVar[str | None] = None
    default_layout: ClassVar[Layout | None] = None

    delimiter: Literal[",", ";", "\t", "|"] = ","
    """What stands between values."""

    def read(self, request: Request) -> dict[str, Column]:
        """Returns each wanted column as text."""
        columns: dict[str, list[str]] = {name: [] for name in request.wanted}
        for file in request.files:
            for row in read_rows(request.root / file, file, self.delimiter, request.wanted):
                for name, values in columns.items():
                    values.append(row[name])
        return dict(columns)

    def decode(self, value: Any, spec: Preprocessing) -> np.ndarray:  # noqa: ANN401  # text of one cell
        """Returns the number."""
        import numpy as np

        del spec
        return np.asarray(_number(value))


def read_rows(path: Path, shown: str, delimiter: str, wanted: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """Yields each line's cells by column name.

    Raises:
        UsageError: The file is too large, is no UTF-8, lacks a wanted column, or a line has too few or many cells.
    """
    if path.stat().st_size > MAX_BYTES:
        raise UsageError(f"{shown}: larger than {MAX_BYTES >> 30} GiB")
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            header = next(reader, [])
            need_columns(wanted, header, shown)
            for cells in reader:
                if len(cells) != len(header):
                    raise UsageError(f"{shown}:{reader.line_num}  has {len(cells)} cells, the header {len(header)}")
                yield dict(zip(header, cells, strict=True))
        except (csv.Error, UnicodeDecodeError) as error:
            raise UsageError(f"{shown}:{reader.line_num + 1}  no CSV in UTF-8: {error}") from None


def _number(text: str) -> int | float:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    raise UsageError(f"is {text!r}, not a number" if text else "is empty")
