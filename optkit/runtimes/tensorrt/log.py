"""What a library says while it works: kept, and freed of what it says only because there is no GPU."""

from __future__ import annotations

import re
from typing import Any

_NOISE = re.compile(r"catchCudaError.*cudaError|Thread context has not been set|is unsupported in TensorRT-RTX")
"""A query of the driver that failed in passing: the line before it holds the error, if there was one."""
_PLACE = re.compile(r"^I\w+::\w+: (?:Error Code \d+: )?|\s*In \w+ at \S+:\d+\)?|^\[\S+?::\w+::\d+\] ")
_NO_GPU = re.compile(r"cudaError 35|CUDA_SUCCESS\) failed|CUDA driver version is insufficient")
_MOST = 200
"""Lines that are kept of a log: a builder that warns of each layer would fill the record."""


class Log:
    """Collects lines. `logger` is what the library takes; it must live as long as what was made with it."""

    def __init__(self, trt: Any) -> None:  # noqa: ANN401  # an extra: its types are not checked
        self.lines: list[tuple[str, str]] = []
        log = self
        # Thousands of lines: even to read their names takes long.
        dropped = (trt.ILogger.VERBOSE, trt.ILogger.INFO)

        class Logger(trt.ILogger):  # type: ignore[misc]  # likewise
            def __init__(self) -> None:
                super().__init__()

            def log(self, severity: Any, message: str) -> None:  # noqa: ANN401  # likewise
                if severity not in dropped:
                    log.add(severity.name, message)

        self.logger = Logger()

    def add(self, severity: str, message: str) -> None:
        """Keeps a line, unless it is noise."""
        if not _NOISE.search(message) and len(self.lines) < _MOST:
            self.lines.append((severity.lower(), message.strip()))

    def cause(self) -> str:
        """Returns the last error without its place in the library's code, or nothing."""
        errors = [message for severity, message in self.lines if severity != "warning"]
        return plain(errors[-1]) if errors else ""

    def text(self) -> list[str]:
        """Returns all lines, for the record."""
        return [f"{severity}: {message}" for severity, message in self.lines]


def plain(message: str) -> str:
    """Returns what a message says, without its place in the library's own code."""
    lines = [line for line in message.splitlines() if not _NOISE.search(line)]
    return _PLACE.sub("", " ".join(lines)).replace("API Usage Error (", "").strip().rstrip(".")


def lacks_gpu(message: str) -> bool:
    """Whether an error only says that there is no GPU, or no driver that fits."""
    return _NO_GPU.search(message) is not None
