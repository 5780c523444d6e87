"""What every test may use."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import settings

from optkit.core.keys import Environment
from optkit.core.passes import Host
from optkit.core.store import Store

ROOT = Path(__file__).parents[1]
if str(ROOT) not in sys.path:  # so that `from tests.core.sample_passes import …` works however pytest was started
    sys.path.insert(0, str(ROOT))

# The same examples in every run, and no deadline: machines that run tests are busy.
settings.register_profile("optkit", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("optkit")


@pytest.fixture
def host() -> Host:
    """Returns a made-up machine."""
    return Host(flags=frozenset({"avx2"}), fingerprint="machine-a")


@pytest.fixture
def environment(host: Host) -> Environment:
    """Returns what keys say about the made-up machine."""
    return Environment(host, code="code-1")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Returns an empty store."""
    return Store(tmp_path / "store")
