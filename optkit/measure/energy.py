"""Energy of the CPU packages, from the counters that Linux shows below /sys/class/powercap (RAPL)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")


@dataclass(frozen=True, slots=True)
class Counter:
    """One package's counter: microjoules, which start again from 0 at `wraps`."""

    file: Path
    wraps: int

    def read(self) -> int:
        """Returns the microjoules so far.

        Raises:
            OSError: The counter cannot be read.
        """
        return int(self.file.read_text())

    def since(self, before: int) -> int:
        """Returns the microjoules since it stood at `before`; more than one round in between goes unseen."""
        return (self.read() - before) % self.wraps


def package_counters(root: Path = POWERCAP) -> tuple[list[Counter], str]:
    """Returns the counters of all packages, or none and why.

    Their parts (cores, memory) have counters of their own, which are contained in them and left out.
    """
    zones = sorted(zone for zone in root.glob("*rapl:*") if zone.name.count(":") == 1)
    if not zones:
        return [], f"this machine shows no energy counters ({root})"
    try:
        counters = [Counter(zone / "energy_uj", int((zone / "max_energy_range_uj").read_text()) + 1) for zone in zones]
        for counter in counters:
            counter.read()
    except (OSError, ValueError) as error:
        return [], f"the energy counters cannot be read: {error}"
    return counters, ""
