"""One file per kind of data file. A manifest's `reader` names one; its fields are the options."""

from optkit.data.readers.base import Column, Reader, Request
from optkit.data.readers.images import Images
from optkit.data.readers.npz import Npz
from optkit.data.readers.parquet import Parquet
from optkit.data.readers.table import Csv

__all__ = ["Column", "Csv", "Images", "Npz", "Parquet", "Reader", "Request"]
