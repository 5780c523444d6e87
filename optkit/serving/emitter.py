"""What an emitter is: a frozen dataclass whose fields are the options below `package:` in a recipe."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from optkit.core.schema import STRICT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    import numpy as np

    from optkit.core.interface import Interface


@dataclass(frozen=True, slots=True)
class Deployable:
    """A model that may be deployed.

    Attributes:
        name: Name under which clients ask for it.
        model: Folder of an `onnx` artifact.
        interface: Inputs, outputs and dynamic dimensions.
        class_names: Output → label per class index; outputs without labels are left out.
        platform: What runs the model inside the server.
    """

    name: str
    model: Path
    interface: Interface
    class_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    platform: str = "onnxruntime"


class Client(ABC):
    """Talks to a running server; may be used from several threads at once."""

    protocols: ClassVar[tuple[str, ...]]
    """Names of the protocols that the server speaks."""

    @property
    @abstractmethod
    def server(self) -> str:
        """What answers, for the report: the server, its version, and what runs the models inside."""

    @abstractmethod
    def max_batch(self, model: str) -> int:
        """Returns how many samples the server may put into one batch; 0 if it never batches `model`.

        Raises:
            VerifyFailed: The server does not have the model.
        """

    @abstractmethod
    def infer(self, model: str, inputs: Mapping[str, np.ndarray], protocol: str) -> dict[str, np.ndarray]:
        """Returns the outputs by name, in the model's own shapes; string tensors as arrays of `str`.

        Raises:
            VerifyFailed: The server refused the request or went away; holds the server's message.
        """


@dataclass(frozen=True)
class Emitter(ABC):
    """Writes entries for one serving runtime and starts that runtime. Subclasses add fields: their options."""

    # Read by pydantic at the edge; a plain dict, so that nothing here imports it.
    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    runtimes: ClassVar[frozenset[str]] = frozenset({"onnxruntime"})
    """What can run a model inside the server, as `optkit.runtimes` names it."""
    session_options: ClassVar[frozenset[str]] = frozenset()
    """Session options that the server can be told, so that it runs a model as it was measured."""

    @abstractmethod
    def emit(self, deployable: Deployable, dest: Path) -> Path:
        """Writes an entry below `dest` and returns its path.

        Raises:
            UsageError: The model or an option does not fit the runtime.
            MissingDependency: A library is absent.
        """

    @abstractmethod
    def serve(self, folder: Path, log: Path) -> AbstractContextManager[Client]:
        """Starts the real runtime, on 127.0.0.1 only, with the entries below `folder` and stops it at the end.

        Args:
            folder: What `emit` was given as `dest`.
            log: File that receives the server's output.

        Raises:
            MissingDependency: The runtime is not installed.
            VerifyFailed: The runtime did not accept an entry; holds its own error lines.
        """
