"""Parquet tables; a list column holds sequences, whose lengths may vary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from optkit.core.errors import MissingDependency, UsageError
from optkit.data.readers.base import MAX_BYTES, STRICT, Column, Request, need_columns

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from optkit.data.preprocessing import Layout, Preprocessing


@dataclass(frozen=True, slots=True)
class Parquet:
    """Reads Parquet files with pyarrow."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    default_column: ClassVar[str | None] = None
    default_layout: ClassVar[Layout | None] = None

    def read(self, request: Request) -> dict[str, Column]:
        """Returns each wanted column, those of several files joined."""
        pyarrow = _pyarrow()
        tables = [_read(request.root / name, name, request.wanted) for name in request.files]
        try:
            table = pyarrow.concat_tables(tables)
        except pyarrow.ArrowException as error:
            raise UsageError(f"{', '.join(request.files)}: columns differ between the files: {error}") from None
        return {name: _Cells(table.column(name)) for name in request.wanted}

    def decode(self, value: Any, spec: Preprocessing) -> np.ndarray:  # noqa: ANN401  # a cell as Python sees it
        """Returns a number, a sequence or nested sequences of equal lengths."""
        import numpy as np

        del spec
        if value is None:
            raise UsageError("is empty (null)")
        try:
            return np.asarray(value)
        except ValueError:
            raise UsageError("holds lists of different lengths") from None


@dataclass(frozen=True, slots=True)
class _Cells:
    """A column whose values become Python's only when asked for."""

    values: Any

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, row: int) -> object:
        return self.values[row].as_py()


def _read(path: Path, shown: str, wanted: tuple[str, ...]) -> Any:  # noqa: ANN401  # a pyarrow.Table
    pyarrow = _pyarrow()
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            need_columns(wanted, file.schema_arrow.names, shown)
            _check_size(file, shown)
            return file.read(columns=list(wanted))
    except (pyarrow.ArrowException, OSError) as error:
        raise UsageError(f"{shown}: damaged: {error}") from None


def _check_size(file: Any, shown: str) -> None:  # noqa: ANN401  # a pyarrow.parquet.ParquetFile
    meta = file.metadata
    # Runs of one value take next to nothing on disk: every cell is counted as eight bytes at least.
    unpacked = max(
        sum(meta.row_group(group).total_byte_size for group in range(meta.num_row_groups)),
        meta.num_rows * meta.num_columns * 8,
    )
    if unpacked > MAX_BYTES:
        raise UsageError(f"{shown}: unpacks to {unpacked / 2**30:.1f} GiB; at most {MAX_BYTES >> 30} GiB are read")


def _pyarrow() -> Any:  # noqa: ANN401  # a module without types
    try:
        import pyarrow as pa
    except ImportError:
        raise MissingDependency("reading Parquet needs pyarrow", hint="pip install 'optkit[tables]'") from None
    return pa
