"""What differs between TensorRT and TensorRT-RTX, and how their modules are found."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optkit.core.errors import MissingDependency, UsageError
from optkit.core.keys import installed_version

if TYPE_CHECKING:
    from collections.abc import Mapping

DATA_TYPES: Mapping[str, str] = {
    "FLOAT": "float32", "HALF": "float16", "BF16": "bfloat16", "FP8": "float8", "FP4": "float4",
    "INT4": "int4", "INT8": "int8", "INT32": "int32", "INT64": "int64", "UINT8": "uint8", "BOOL": "bool",
}  # fmt: skip
"""Their names of types → ours."""


@dataclass(frozen=True, slots=True)
class Library:
    """One of the two.

    Attributes:
        name: As targets and reports spell it.
        module: What is imported.
        distribution: Package whose version an engine is bound to.
        hint: How to install it.
        extra: The extra of optkit that brings it, if one does.
        ahead_of_time: Whether it builds without a GPU, for any machine with one of some compute capabilities.
        magic: First bytes of its plans, where they are known.
        capabilities: Compute capabilities that it can be asked to build for; none if it builds for the GPU at hand.
        options: Options of `build-engine` that only this library has.
    """

    name: str
    module: str
    distribution: str
    hint: str
    extra: str
    ahead_of_time: bool
    magic: bytes
    capabilities: tuple[str, ...]
    options: frozenset[str]

    @property
    def version(self) -> str:
        """The installed version, or `absent`."""
        return installed_version(self.distribution)

    def check_installed(self) -> None:
        """Refuses, without importing it, a library that is absent.

        Raises:
            MissingDependency: It is not installed.
        """
        if self.version == "absent":
            raise MissingDependency(f"{self.name} is not installed", hint=self.hint)

    def load(self) -> Any:  # noqa: ANN401  # both are extras: their types are not checked
        """Imports the library.

        Raises:
            MissingDependency: It is not installed, or its own libraries are not found.
        """
        try:
            return importlib.import_module(self.module)
        except (ImportError, OSError) as error:
            raise MissingDependency(f"{self.name} is not installed", hint=self.hint) from error


LIBRARIES: Mapping[str, Library] = {
    library.name: library
    for library in (
        Library(
            name="tensorrt",
            module="tensorrt",
            distribution="tensorrt",
            hint="install tensorrt 10 or 11 from NVIDIA's package index, or say `build-engine: {defer: true}`",
            extra="",
            ahead_of_time=False,
            magic=b"",
            capabilities=(),
            options=frozenset({"hardware", "version_compatible", "timing_cache", "plugins"}),
        ),
        Library(
            name="tensorrt-rtx",
            module="tensorrt_rtx",
            distribution="tensorrt-rtx",
            hint="pip install 'optkit[rtx]'",
            extra="rtx",
            ahead_of_time=True,
            magic=b"vtrt",
            capabilities=("7.5", "8.0", "8.6", "8.9", "12.0", "12.1"),
            options=frozenset({"capabilities"}),
        ),
    )
}


def library_named(target: str | None) -> Library:
    """Returns the library that builds engines for `target`.

    Raises:
        UsageError: No engine is built for that target.
    """
    if target is None or target not in LIBRARIES:
        raise UsageError(f"no engine is built for the target {target}", hint=f"set target to {' or '.join(LIBRARIES)}")
    return LIBRARIES[target]


def capability_of(trt: Any, text: str) -> Any:  # noqa: ANN401  # an enum of an extra
    """Returns the library's own value for a compute capability such as `8.9`."""
    return getattr(trt.ComputeCapability, f"SM{text.replace('.', '')}")


def dtype_name(dtype: Any) -> str:  # noqa: ANN401  # likewise
    """Returns our name for a type of either library."""
    return DATA_TYPES.get(dtype.name, dtype.name.lower())
