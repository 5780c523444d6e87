"""Where the run came from, and how to have it again."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from optkit.report.format import clean, seconds
from optkit.report.html.blocks import Section, folded, pairs, section
from optkit.report.html.markup import element

if TYPE_CHECKING:
    from collections.abc import Iterator

    from optkit.core.results import RunReport
    from optkit.report.html.markup import Markup

_UNKNOWN = frozenset({"", "absent", "unknown"})


def reproduce(report: RunReport) -> Section | None:
    """Returns the commands that run it again, and the digests that they should give."""
    if not report.command:
        return None
    expected = [(f"recipe ({report.command[2]})" if len(report.command) > 2 else "recipe", report.recipe_sha256)]  # noqa: PLR2004  # optkit optimize FILE
    expected += [(f"source {name}", digest) for name, digest in report.provenance.sources.items()]
    expected += [(f"candidate {candidate.name}", candidate.digest) for candidate in report.candidates]
    return section(
        "reproduce", "Reproduce",
        "The same sources, versions and machine class give the same bytes; latencies are measured anew.",
        element("pre", element("code", "\n".join(_commands(report))), tabindex="0"),
        folded("Digests (sha256) that it should give", pairs(expected)),
    )  # fmt: skip


def provenance(report: RunReport) -> Section | None:
    """Returns the machine and the versions."""
    about = report.provenance
    items = {
        "started": report.started, "took": seconds(report.seconds), "seed": str(about.seed),
        "machine": f"{about.cpu}, {about.cores} cores", "platform": about.platform, "Python": about.python,
        **about.versions, "baseline": f"{report.baseline.name} in {report.baseline.runtime}, {report.baseline.digest}",
    }  # fmt: skip
    flags: Markup = element("p", " ".join(about.cpu_flags), class_="digest")
    return section("provenance", "Provenance", None, pairs(items.items()), folded("CPU flags", flags))


def _commands(report: RunReport) -> Iterator[str]:
    versions = report.provenance.versions.items()
    # A local version, such as 2.13.0+cpu, is on no index.
    pins = [f"{name}=={version.partition('+')[0]}" for name, version in versions if version not in _UNKNOWN]
    yield "# in the recipe's folder, with Python " + report.provenance.python
    yield "pip install " + " ".join(shlex.quote(clean(pin)) for pin in pins)
    if len(report.command) > 2:  # noqa: PLR2004  # optkit optimize FILE
        yield f"sha256sum {shlex.quote(clean(report.command[2]))}  # {report.recipe_sha256}"
    yield " ".join(shlex.quote(clean(part)) for part in report.command)
