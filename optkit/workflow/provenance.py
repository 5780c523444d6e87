"""Where a run happens and with what."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING

from optkit.core.keys import installed_version
from optkit.core.results import Provenance
from optkit.workflow.host import cpu_name, this_host

if TYPE_CHECKING:
    from collections.abc import Mapping

DISTRIBUTIONS = (
    "optkit",
    "torch",
    "onnx",
    "onnx_ir",
    "onnxruntime",
    "onnxscript",
    "onnxsim",
    "openvino",
    "numpy",
    "scipy",
)


def provenance(sources: Mapping[str, str], seed: int) -> Provenance:
    """Returns the machine, the versions and the digests of what went in."""
    return Provenance(
        versions={name: installed_version(name) for name in DISTRIBUTIONS},
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.release()} {platform.machine()}",
        cpu=cpu_name(),
        cpu_flags=tuple(sorted(this_host().flags)),
        cores=os.cpu_count() or 1,
        sources=dict(sources),
        seed=seed,
    )
