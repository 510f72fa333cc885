"""The Beam graph keeps to what every runner can do."""

from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from helpers import documents, make_manifest, write_jsonl

from raicurate.pipelines import storage
from raicurate.pipelines.curate import Curate
from raicurate.pipelines.plan import dump_jobs, make_plan
from raicurate.pipelines.run import make_config


@pytest.fixture
def graph(tmp_path: Path) -> beam.Pipeline:
    """The graph of a run, not yet run."""
    write_jsonl(tmp_path / "in" / "a.jsonl", documents(20))
    config = make_config(make_manifest(tmp_path / "in"), str(tmp_path / "out"))
    jobs = str(tmp_path / "jobs.jsonl")
    storage.write_bytes(jobs, dump_jobs(make_plan(config).jobs))
    pipeline = beam.Pipeline(runner=FnApiRunner())
    counted = pipeline | Curate(config, jobs) | beam.combiners.Count.Globally()
    assert_that(counted, equal_to([2]))
    return pipeline


class _Collector(PipelineVisitor):  # type: ignore[misc]
    def __init__(self) -> None:
        self.found: list[AppliedPTransform] = []

    def visit_transform(self, transform_node: AppliedPTransform) -> None:
        self.found.append(transform_node)


def _own(pipeline: beam.Pipeline) -> list[AppliedPTransform]:
    collector = _Collector()
    pipeline.visit(collector)
    return [node for node in collector.found if node.full_label.startswith("Curate/")]


def test_graph_runs_as_a_public_transform(graph: beam.Pipeline) -> None:
    """`Curate` can stand in a pipeline of the user's own, and yields a receipt for each unit."""
    graph.run().wait_until_finish()


def test_dofns_use_setup_and_process_only(graph: beam.Pipeline) -> None:
    """No bundle hooks, state, timers, side inputs or tags: some runners lose data with them."""
    nodes = _own(graph)
    assert any("CurateUnit" in node.full_label for node in nodes)
    for node in nodes:
        transform = node.transform
        assert not node.side_inputs
        assert set(node.outputs) <= {None, "None"}, node.full_label
        dofn = getattr(transform, "fn", None)
        if isinstance(dofn, beam.DoFn) and type(dofn).__module__.startswith("raicurate"):
            own = {name for name in vars(type(dofn)) if not name.startswith("_")}
            assert own <= {"setup", "process"}


def test_units_are_distributed_after_the_plan_is_read(graph: beam.Pipeline) -> None:
    """A shuffle stands between reading the plan and the work, and nothing after it."""
    labels = [node.full_label for node in _own(graph)]
    order = [
        next(i for i, label in enumerate(labels) if part in label)
        for part in ("ReadPlan", "Distribute", "CurateUnit")
    ]
    assert order == sorted(order)
