"""Dataset manifests and readers behind one protocol."""

from optkit.data.dataset import Batch, Dataset, Sample, open_dataset, sample_digests
from optkit.data.manifest import Manifest, load_manifest
from optkit.data.source import dataset_source, load_dataset

__all__ = [
    "Batch",
    "Dataset",
    "Manifest",
    "Sample",
    "dataset_source",
    "load_dataset",
    "load_manifest",
    "open_dataset",
    "sample_digests",
]
