"""From an ONNX file to a network, or to what the parser says against it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optkit.core.errors import MissingDependency
from optkit.runtimes.tensorrt.log import Log, plain

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class ParserError:
    """Why the parser refuses a node; of the graph as a whole, name and operator are empty."""

    node: str
    operator: str
    text: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """A network and what must live as long as it.

    Attributes:
        log: What was said so far.
        builder: Made the network, and builds it.
        network: The library's network; incomplete if there are errors.
        parser: Holds the weights that the network refers to.
        errors: What the parser refuses.
    """

    log: Log
    builder: Any
    network: Any
    parser: Any
    errors: tuple[ParserError, ...]


def parse(trt: Any, path: Path) -> Parsed:  # noqa: ANN401  # an extra: its types are not checked
    """Parses the ONNX file at `path`, external data included, into a strongly typed network.

    Raises:
        MissingDependency: The library makes no builder here: it lacks a GPU, or its shared libraries.
    """
    log = Log(trt)
    try:
        builder = trt.Builder(log.logger)
    except (TypeError, RuntimeError) as error:
        raise MissingDependency(
            f"{trt.__name__} {trt.__version__} cannot build here: {log.cause() or error}",
            hint="it needs a GPU and its driver; or say `build-engine: {defer: true}` and build where there is one",
        ) from None
    typed = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(typed)
    parser = trt.OnnxParser(network, log.logger)
    accepted = parser.parse_from_file(str(path))
    errors = () if accepted else tuple(_error(parser.get_error(index)) for index in range(parser.num_errors))
    if not accepted and not errors:
        errors = (ParserError("", "", log.cause() or "the parser gives no reason"),)
    return Parsed(log, builder, network, parser, errors)


def _error(error: Any) -> ParserError:  # noqa: ANN401  # likewise
    return ParserError(error.node_name(), error.node_operator(), plain(error.desc()))
