"""Cache keys: everything that can change a step's bytes, and nothing else."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optkit.core.artifact import canonical_json, digest_bytes, digest_entries, digest_file
from optkit.core.passes import pass_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from optkit.core.passes import Host
    from optkit.core.recipe import Step

# What runs no pass cannot change an artifact: editing it must not rebuild anything.
_OUTSIDE_PASSES = ("cli", "report", "templates", "workflow")


@dataclass(frozen=True, slots=True)
class Environment:
    """What a key says about the machine and the software.

    Attributes:
        host: The machine class, for device-bound steps.
        code: Digest of optkit's own source, so that no edit is missed.
    """

    host: Host
    code: str

    @classmethod
    def here(cls, host: Host) -> Environment:
        """Returns the environment of this process."""
        return cls(host, own_code_digest())


def key_parts(step: Step, inputs: Mapping[str, str], environment: Environment) -> dict[str, Any]:
    """Returns what the key of a step is made of, as flat JSON that `plan --explain` can compare.

    Args:
        step: The step.
        inputs: Role → digest of the artifact that fills it.
        environment: Machine and software.
    """
    do = step.do
    parts: dict[str, Any] = {
        "pass": pass_path(do),
        "version": do.version,
        "code": environment.code,
        "python": platform.python_version(),
        "platform": f"{platform.system()}-{platform.machine()}",
    }
    parts |= {f"option {name}": value for name, value in do.config().items()}
    parts |= {f"input {role}": digest for role, digest in inputs.items()}
    parts |= {f"package {name}": installed_version(name) for name in do.distributions()}
    device = do.device(environment.host)
    if device:
        parts["device"] = device
    return parts


def key_of(parts: Mapping[str, Any]) -> str:
    """Returns the key: the full sha256 of the parts."""
    return digest_bytes(canonical_json(dict(parts)))


def explain(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Returns one line for each part in which two keys differ."""
    names = sorted(before.keys() | now.keys())
    return [
        f"{name}: {_short(before.get(name))} → {_short(now.get(name))}"
        for name in names
        if before.get(name) != now.get(name)
    ]


def installed_version(distribution: str) -> str:
    """Returns the version of an installed distribution, or `absent`."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(distribution)
    except PackageNotFoundError:
        return "absent"


@cache
def own_code_digest() -> str:
    """Returns the digest of the code of optkit that passes can reach."""
    root = Path(__file__).parents[1]
    files = sorted(path.relative_to(root) for path in root.rglob("*.py"))
    inside = [path for path in files if path.parts[0] not in _OUTSIDE_PASSES]
    return digest_entries({path.as_posix(): digest_file(root / path) for path in inside})


def _short(value: object) -> str:
    text = "nothing" if value is None else str(value)
    return f"{text[:12]}…" if len(text) == 64 else text  # noqa: PLR2004  # a sha256
