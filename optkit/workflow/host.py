"""What machine this is."""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path

from optkit.core.artifact import digest_bytes
from optkit.core.passes import Host


@cache
def this_host() -> Host:
    """Returns the machine class: CPU model, its features and the number of cores."""
    model, flags = _cpu()
    text = f"{platform.machine()} {model} {' '.join(sorted(flags))} {os.cpu_count()}"
    return Host(flags, digest_bytes(text.encode()))


def cpu_name() -> str:
    """Returns the CPU's model name."""
    return _cpu()[0]


@cache
def _cpu() -> tuple[str, frozenset[str]]:
    fields: dict[str, str] = {}
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine(), frozenset()
    for line in text.splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    flags = fields.get("flags") or fields.get("Features") or ""
    return fields.get("model name", platform.machine()), frozenset(flags.split())
