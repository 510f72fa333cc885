"""Fixtures: runs by every executor, and the real data."""

import os
from pathlib import Path
from typing import Any

import pytest
from helpers import EXECUTORS, Curate, calls

from raicurate.corpora_manifests.manifest import Manifest
from raicurate.pipelines.run import RunResult, make_config, run
from raicurate.pipelines.runners import in_process


@pytest.fixture(params=list(EXECUTORS))
def curate(request: pytest.FixtureRequest) -> Curate:
    """Runs a manifest by each executor: in this process, by Beam, and by Beam replayed."""
    executor = EXECUTORS[request.param]

    def curate(manifest: Manifest, out: Path, **options: Any) -> RunResult:
        calls.clear()
        return run(make_config(manifest, str(out), **options), executor)

    return curate


@pytest.fixture
def curate_here() -> Curate:
    """Runs a manifest in this process, without Beam."""

    def curate(manifest: Manifest, out: Path | str, **options: Any) -> RunResult:
        calls.clear()
        return run(make_config(manifest, str(out), **options), in_process)

    return curate


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data; tests that need it are skipped where it is not there."""
    folder = Path(os.environ.get("RAI_DATA", ""))
    if not os.environ.get("RAI_DATA") or not folder.is_dir():
        pytest.skip("RAI_DATA names no folder of real data")
    return folder
