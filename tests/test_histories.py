"""Whatever happened before: the output is that of a clean run from the final manifest.

Random histories of changed input, moved thresholds, changed templates and runs that are killed at
a random read, write, rename or delete. `RAICURATE_HISTORIES` sets how many are tried, and
`RAICURATE_HISTORIES_SEED` which.
"""

import os
import random
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers import documents, make_manifest, output_digests, write_jsonl
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from raicurate.corpora_manifests.manifest import Manifest
from raicurate.pipelines import storage
from raicurate.pipelines.receipts import OUTCOMES
from raicurate.pipelines.run import RunResult, make_config, run
from raicurate.pipelines.runners import BeamExecutor, Executor, in_process
from raicurate.pipelines.snapshots import current_snapshot

HISTORIES = int(os.environ.get("RAICURATE_HISTORIES", "200"))
SEED = int(os.environ.get("RAICURATE_HISTORIES_SEED", "20261120"))
BEAM_HISTORIES = max(1, HISTORIES // 10)


class Killed(BaseException):
    """The run ends here, as if the process had been killed."""


class Dying:
    """A failpoint that lets a number of operations pass and none after them."""

    def __init__(self, after: int) -> None:
        self._left = after

    def __call__(self, operation: str, path: str) -> None:
        del operation, path
        self._left -= 1
        if self._left < 0:
            raise Killed


class World:
    """Input, policy and templates, which the steps of a history change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "out"
        self.threshold = 0.5
        self.variants = 0
        self.withdrawn: set[str] = set()
        self.next = 0
        self.add(random.Random(0))

    def add(self, draw: random.Random) -> None:
        suffix = draw.choice(["jsonl", "jsonl.gz"])
        count = draw.choice([1, 3, 12])
        write_jsonl(
            self.folder / "in" / f"{self.next:03d}.{suffix}", documents(count, self.next * 100)
        )
        self.next += 1

    def replace(self, draw: random.Random) -> None:
        path = draw.choice(self._shards())
        write_jsonl(path, documents(draw.choice([2, 7, 13]), draw.randrange(9) * 10))

    def damage(self, draw: random.Random) -> None:
        path = draw.choice(self._shards())
        content = path.read_bytes()
        path.write_bytes(content[: draw.randrange(len(content) // 2, len(content))])

    def remove(self, draw: random.Random) -> None:
        if len(self._shards()) > 1:
            draw.choice(self._shards()).unlink()

    def threshold_moves(self, draw: random.Random) -> None:
        self.threshold = draw.choice([0.2, 0.5, 0.5, 0.95])

    def templates_change(self, draw: random.Random) -> None:
        self.variants = draw.randrange(4)

    def withdraw(self, draw: random.Random) -> None:
        self.withdrawn ^= {f"doc-{draw.randrange(max(1, self.next)) * 100:05d}"}

    def _shards(self) -> list[Path]:
        return sorted((self.folder / "in").iterdir())

    def manifest(self) -> Manifest:
        templates = self.folder / f"templates{self.variants}"
        templates.mkdir(exist_ok=True)
        words = {
            "version": 1,
            "licence": "CC0-1.0",
            "language": "en",
            "reviewed_by_native_speaker": True,
            "hazards": {
                "hate": {
                    "what_it_is": [
                        f"It speaks of a group as a whole, {number} times over."
                        for number in range(self.variants + 1)
                    ]
                }
            },
        }
        (templates / "en.yaml").write_text(yaml.safe_dump(words))
        return make_manifest(
            self.folder / "in",
            policy={"thresholds": {"default": self.threshold}},
            templates=[str(templates)],
            withdrawn={"ids": sorted(self.withdrawn)},
            output={"unit_bytes": 2048},
        )

    def run(self, out: Path, executor: Executor = in_process) -> RunResult:
        return run(make_config(self.manifest(), str(out)), executor)


STEPS = (
    "add",
    "replace",
    "damage",
    "remove",
    "threshold_moves",
    "templates_change",
    "withdraw",
    "run",
    "run_killed",
)


def _play(
    world: World, steps: list[tuple[str, int]], executor: Executor, patch: pytest.MonkeyPatch
) -> None:
    for name, number in steps:
        if name == "run":
            world.run(world.out, executor)
        elif name == "run_killed":
            with patch.context() as context:
                context.setattr(storage, "failpoint", Dying(number % 120))
                try:
                    world.run(world.out)
                except Killed:
                    continue
        else:
            getattr(world, name)(random.Random(number))


def _check(world: World, executor: Executor) -> None:
    result = world.run(world.out, executor)
    clean = world.run(world.folder / "clean")
    counts = result.totals.counts
    assert counts["documents_in"] == sum(counts[name] for name in OUTCOMES)
    assert counts == clean.totals.counts
    assert output_digests(world.out) == output_digests(world.folder / "clean")
    snapshot = current_snapshot(str(world.out))
    assert snapshot is not None
    assert len(list(snapshot.parts)) == len(output_digests(world.out))
    assert not list(world.folder.rglob(f"{storage.TEMPORARY_PREFIX}*"))
    assert world.run(world.out).plan.jobs == []


histories = st.lists(
    st.tuples(st.sampled_from(STEPS), st.integers(0, 10_000)), min_size=2, max_size=9
)

common: dict[str, Any] = {
    "deadline": None,
    "phases": [Phase.generate],
    "suppress_health_check": list(HealthCheck),
    "database": None,
}


@seed(SEED)
@settings(max_examples=HISTORIES, **common)
@given(steps=histories)
def test_any_history_ends_like_a_clean_run(steps: list[tuple[str, int]]) -> None:
    """After any history, a run in this process ends with the bytes of a clean run."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        world = World(Path(folder))
        _play(world, steps, in_process, patch)
        _check(world, in_process)


@seed(SEED + 1)
@settings(max_examples=BEAM_HISTORIES, **common)
@given(steps=histories, repeat=st.sampled_from([0, 2]))
def test_any_history_through_beam(steps: list[tuple[str, int]], repeat: int) -> None:
    """The same through Beam, with bundles replayed or not."""
    executor = BeamExecutor(workers=1, bundle_repeat=repeat)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        world = World(Path(folder))
        _play(world, steps, executor, patch)
        _check(world, executor)
