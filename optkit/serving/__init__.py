"""Serving runtimes: what writes a deployable entry for one, and starts it to see that it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.core.lazy import LazyTable

if TYPE_CHECKING:
    from optkit.serving.emitter import Emitter

EMITTERS: LazyTable[type[Emitter]] = LazyTable({"triton": "optkit.serving.triton:Triton"})
