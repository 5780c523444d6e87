"""Runtimes: each one opens a model artifact as a `Session`, whatever library stands behind it.

The table of them imports every one: only whoever asks for a name that it defines pays for that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optkit.runtimes.session import Runtime, Session

if TYPE_CHECKING:
    from optkit.runtimes.table import RUNTIMES, check_installed, runtime_named

__all__ = ["RUNTIMES", "Runtime", "Session", "check_installed", "runtime_named"]


def __getattr__(name: str) -> Any:  # noqa: ANN401  # the types are those above
    if name not in __all__:
        raise AttributeError(name)
    from optkit.runtimes import table

    return getattr(table, name)
