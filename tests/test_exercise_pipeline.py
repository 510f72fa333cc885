"""Exercises as a run makes them: from policy documents to parts, receipts and snapshots."""

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from raicurate.corpora_manifests.load import PACKAGE_FOLDER, load_manifest
from raicurate.pipelines.arms_verdict import UNSEEN_RULE
from raicurate.pipelines.plan import CARRIED_OVER, make_plan
from raicurate.pipelines.run import make_config, run
from raicurate.pipelines.snapshots import current_snapshot
from raicurate.pipelines.stages import worker
from raicurate.transforms.schema import EXERCISES

MANIFEST = """
schema_version: 1
name: house
policy: {policy}
annotators: [{{use: language@1}}]
corpora:
  - name: rules
    role: policy
    root: {root}
    paths: ["*.md"]
    license: CC0-1.0
    lang: en
{more}
output: {{restricted: "{{out}}.restricted"}}
"""

TOPICS = ("door", "garden", "kitchen", "cellar", "garage", "roof", "lift", "laundry")


def rules(topic):
    return (
        f"# Rules for the {topic}\n\n"
        f"Tenants must clean the {topic} within 48 hours if they have used it for a party.\n\n"
        f"Guests must not repaint the {topic}, unless the landlord has agreed in writing.\n\n"
        f"Owners may photograph the {topic} in summer.\n\n"
        f"Painters must not smoke near the {topic} at noon.\n\n"
        f"Caretakers must inspect the {topic} every week, because hidden damage grows quickly.\n"
    )


def in_process(config, jobs, path, stage="curate"):
    do = worker(stage, config)
    for job in jobs:
        do(job)


@pytest.fixture
def house(tmp_path):
    root = tmp_path / "in"
    root.mkdir()
    for topic in TOPICS:
        (root / f"{topic}.md").write_text(rules(topic))

    def config(more=""):
        policy = PACKAGE_FOLDER / "policies" / "default.yaml"
        path = tmp_path / "m.yaml"
        path.write_text(MANIFEST.format(root=root, policy=policy, more=more))
        return make_config(load_manifest(path), str(tmp_path / "out"))

    return config


def layer(tmp_path, name):
    files = sorted((tmp_path / "out" / name).rglob("*.parquet"))
    return pq.read_table(files) if files else None


SHARES = "exercises: {unseen: 0.3, read_only: 0.3}"


def test_a_run_makes_exercises_of_policy_corpora(house, tmp_path):
    """Rows follow the schema, and name the document that they were made of."""
    run(house(), in_process)
    exercises = layer(tmp_path, "exercises")
    assert exercises.schema.equals(EXERCISES)
    assert exercises.num_rows > 50
    data = layer(tmp_path, "data")
    assert set(exercises["document"].to_pylist()) <= set(data["id"].to_pylist())
    assert "exercises/*/*.parquet" in (tmp_path / "out" / "README.md").read_text()


def test_support_lies_where_the_clause_stands(house, tmp_path):
    """The offsets of the support fit the published text of the document."""
    run(house(), in_process)
    data = layer(tmp_path, "data")
    texts = {row["id"]: row["text"] for row in data.to_pylist()}
    for row in layer(tmp_path, "exercises").to_pylist():
        if row["family"] == "why":
            span = row["support"][0]
            assert texts[row["document"]][span["start"] : span["end"]].strip(",. ") in row["answer"]


def test_unseen_documents_are_nowhere_and_are_counted(house, tmp_path):
    """A document of the unseen arm is dropped under a rule of its own; the counts add up."""
    result = run(house(SHARES), in_process)
    ledger = layer(tmp_path, "ledger")
    unseen = ledger.filter(pc.equal(ledger["rule"], UNSEEN_RULE))["id"].to_pylist()
    assert unseen
    assert result.totals.counts["drop"] == len(unseen)
    assert not set(unseen) & set(layer(tmp_path, "data")["id"].to_pylist())
    hidden = [
        row["src_file"].removesuffix(".md") for row in ledger.to_pylist() if row["id"] in unseen
    ]
    for text in layer(tmp_path, "exercises")["text"].to_pylist():
        assert not any(f"the {topic}" in text for topic in hidden)


def test_read_only_clauses_are_in_no_exercise(house, tmp_path):
    """They stand in the data, and in no question, choice or passage."""
    run(house(SHARES), in_process)
    held = pq.read_table(tmp_path / "out" / "heldout" / "clauses.parquet")
    read_only = held.filter(pc.equal(held["arm"], "read_only"))
    assert read_only.num_rows
    texts = layer(tmp_path, "exercises")["text"].to_pylist()
    for words in read_only["text"].to_pylist():
        assert not any(words in text for text in texts)
    taught = set(held.filter(pc.equal(held["arm"], "taught"))["clause"].to_pylist())
    for ids in layer(tmp_path, "exercises")["clause_ids"].to_pylist():
        assert set(ids) <= taught


def test_nothing_is_done_twice(house, tmp_path):
    """A second run carries everything over, and changes no file."""
    run(house(), in_process)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.parquet")}
    plan = make_plan(house())
    assert {unit.reason for unit in plan.units} == {CARRIED_OVER}
    run(house(), in_process)
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.parquet")}
    changed = {path.name for path in after if after[path] != before.get(path)}
    assert changed <= {"clauses.parquet"}


def test_two_outputs_hold_the_same_bytes(house, tmp_path):
    """The same manifest gives the same exercises, byte for byte."""
    run(house(), in_process)
    first = {p.name: p.read_bytes() for p in (tmp_path / "out" / "exercises").rglob("*.parquet")}
    (tmp_path / "out").rename(tmp_path / "other")
    run(house(), in_process)
    second = {p.name: p.read_bytes() for p in (tmp_path / "out" / "exercises").rglob("*.parquet")}
    assert first == second


def test_exercises_of_a_withdrawn_document_vanish(house, tmp_path):
    """Also from superseded parts, earlier snapshots and the held-out clauses."""
    run(house(), in_process)
    ledger = layer(tmp_path, "ledger")
    victim = layer(tmp_path, "data")["id"][0].as_py()
    file = next(row["src_file"] for row in ledger.to_pylist() if row["id"] == victim)
    topic = file.removesuffix(".md")
    run(house(f"withdrawn: {{ids: ['{victim}']}}"), in_process)
    for path in (tmp_path / "out").rglob("*.parquet"):
        assert f"the {topic}".encode() not in path.read_bytes()
        table = pq.read_table(path)
        for name in ("text", "question"):
            if name in table.column_names:
                assert not any(f"the {topic}" in (text or "") for text in table[name].to_pylist())


def test_exercises_can_be_turned_off(house, tmp_path):
    """Then nothing is held out either, and what stood there is gone."""
    run(house(), in_process)
    run(house("exercises: {enabled: false}"), in_process)
    assert layer(tmp_path, "exercises") is None
    assert not (tmp_path / "out" / "heldout" / "clauses.parquet").exists()
    assert layer(tmp_path, "data").num_rows == len(TOPICS)
    snapshot = current_snapshot(str(tmp_path / "out"))
    assert all(part.layer != "exercises" for part in snapshot.parts)


def test_a_lost_part_is_made_again(house, tmp_path):
    """A part that was deleted is written anew with the same bytes."""
    run(house(), in_process)
    (path,) = (tmp_path / "out" / "exercises").rglob("*.parquet")
    content = path.read_bytes()
    path.unlink()
    run(house(), in_process)
    assert path.read_bytes() == content
