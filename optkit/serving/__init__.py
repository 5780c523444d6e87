"""Serving runtimes: what writes a deployable entry for one, and starts it to see that it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optkit.serving.triton import Triton

if TYPE_CHECKING:
    from optkit.serving.emitter import Emitter

EMITTERS: dict[str, type[Emitter]] = {"triton": Triton}
