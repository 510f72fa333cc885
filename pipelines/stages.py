"""What can be done to the units of a run, by name, since only names and data reach a worker."""

from collections.abc import Callable
from typing import Literal

from raicurate.pipelines.curate_unit import Job, UnitCurator
from raicurate.pipelines.keys import RunConfig
from raicurate.pipelines.receipts import Receipt

Stage = Literal["curate", "propose_pairs", "write_pairs", "write_exercises"]


def worker(stage: Stage, config: RunConfig) -> Callable[[Job], Receipt]:
    """Returns what does the jobs of a stage, with what it holds for a whole process."""
    if stage == "curate":
        return UnitCurator(config).curate
    if stage == "write_exercises":
        from raicurate.pipelines.exercises import ExerciseWriter

        return ExerciseWriter(config).do
    from raicurate.pipelines.pairs import PairProposer, PairWriter

    return (PairProposer if stage == "propose_pairs" else PairWriter)(config).do
