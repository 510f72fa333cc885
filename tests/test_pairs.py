"""Pairs: offered by unit, taken over all corpora, written, carried along and withdrawn."""

import random
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import Curate, documents, make_manifest, output_digests, rows, write_jsonl
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from test_histories import STEPS, World, _check, _play

from raicurate.corpora_manifests.errors import ManifestError
from raicurate.corpora_manifests.load import validated
from raicurate.corpora_manifests.manifest import Manifest
from raicurate.corpora_manifests.pairs import Pairs
from raicurate.exercise_templates.pairs import PairLibrary
from raicurate.pipelines import command_trace
from raicurate.pipelines.cli import main
from raicurate.pipelines.run import make_config, run
from raicurate.pipelines.runners import in_process
from raicurate.pipelines.snapshots import current_snapshot
from raicurate.pipelines.validation import validate_output
from raicurate.transforms import schema
from raicurate.transforms.pairs import ATTEMPTS, OFFERS, take

LIBRARY = PairLibrary.load()
WANTED: dict[str, Any] = {"hazards": ["hate", "misinformation"], "languages": ["en", "de"]}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Three shards of forty documents, each a unit of its own."""
    for shard in range(3):
        write_jsonl(tmp_path / "in" / f"{shard}.jsonl.gz", documents(40, shard * 40))
    return tmp_path / "in"


def manifest_of(corpus: Path, **wanted: Any) -> Manifest:
    changes = wanted.pop("manifest", {})
    return make_manifest(corpus, policy={"pairs": {**WANTED, **wanted}}, **changes)


def pairs_of(out: Path) -> list[dict[str, Any]]:
    return rows(out / "pairs")


def test_every_executor_writes_the_same_pairs(corpus: Path, tmp_path: Path, curate: Curate) -> None:
    """In this process, by Beam, replayed: the same files, three rows for each source."""
    manifest = manifest_of(corpus)
    result = curate(manifest, tmp_path / "out")
    run(make_config(manifest, str(tmp_path / "reference")), in_process)
    assert output_digests(tmp_path / "out") == output_digests(tmp_path / "reference")
    found = pairs_of(tmp_path / "out")
    written = sum(result.totals.tables["pairs"].values())
    left = sum(result.totals.tables.get("pairs_left_out", {}).values())
    assert written + left == 24
    kinds = Counter(row["kind"] for row in found)
    assert kinds["refusal"] == kinds["twin"] == written
    assert (tmp_path / "out" / "_SUCCESS").is_file()
    assert curate(manifest, tmp_path / "out").snapshot == 1


def test_pairs_are_linked_and_hold_nothing_of_their_source(
    corpus: Path, tmp_path: Path, curate_here: Curate
) -> None:
    """Refusal, twin and lesson share a pair and name their source, whose words are not in them."""
    out = tmp_path / "out"
    curate_here(manifest_of(corpus), out)
    sources = {row["id"]: row for row in rows(out / "data")}
    by_pair: dict[str, list[dict[str, Any]]] = {}
    for row in pairs_of(out):
        by_pair.setdefault(row["pair"], []).append(row)
    for members in by_pair.values():
        assert {"refusal", "twin"} <= {row["kind"] for row in members}
        ((source,),) = {tuple(row["derived_from"]) for row in members}
        assert {h["hazard"] for h in sources[source]["hazards"]} == {members[0]["hazard"]}
    for row in pairs_of(out):
        assert "worthless" not in row["text"]
        assert "plate" not in row["text"]
        said = {turn["role"]: row["text"][turn["start"] : turn["end"]] for turn in row["turns"]}
        assert set(said) == (set() if row["kind"] == "lesson" else {"user", "assistant"})
        if said:
            assert "\n\n".join(said.values()) == row["text"]
    path = next((out / "pairs").rglob("*.parquet"))
    assert pq.read_schema(path).remove_metadata().equals(schema.PAIRS)
    assert b"rai.pairs" in pq.read_metadata(path).metadata


def test_no_text_stands_twice(tmp_path: Path, curate_here: Curate) -> None:
    """Over all units and corpora no pair and no lesson is repeated, and the rest is counted."""
    many = [
        {"id": f"d{number}", "text": f"They are worthless, {number}. HAZARD=hate/intent/0.9"}
        for number in range(900)
    ]
    for shard in range(3):
        write_jsonl(tmp_path / "in" / f"{shard}.jsonl.gz", many[shard * 300 : shard * 300 + 300])
    manifest = manifest_of(tmp_path / "in", max_per_theme=1000)
    result = curate_here(manifest, tmp_path / "out")
    found = pairs_of(tmp_path / "out")
    assert len({row["text"] for row in found}) == len(found)
    words = {row["text"].replace("Question: ", "User: ") for row in found}
    assert len(words) == len(found)
    tables = result.totals.tables
    written = tables["pairs"]["en/hate"]
    assert 80 < written < 900
    assert tables["pairs_left_out"] == {"en/hate: same words": 900 - written}


def test_cap_holds_over_units_and_prefers_no_shard(
    corpus: Path, tmp_path: Path, curate_here: Curate
) -> None:
    """A theme has at most so many pairs over all units, whatever shards the sources stand in."""
    result = curate_here(manifest_of(corpus, max_per_theme=5), tmp_path / "out")
    assert result.totals.tables["pairs"] == {"en/hate": 5, "en/misinformation": 5}
    assert result.totals.tables["pairs_left_out"]["en/hate: over the cap"] >= 1
    write_jsonl(tmp_path / "one" / "all.jsonl.gz", documents(120))
    curate_here(manifest_of(tmp_path / "one", max_per_theme=5), tmp_path / "whole")
    texts = [sorted(row["text"] for row in pairs_of(tmp_path / name)) for name in ("out", "whole")]
    assert texts[0] == texts[1]


def test_off_by_default_and_when_turned_off(
    corpus: Path, tmp_path: Path, curate_here: Curate
) -> None:
    """Without `pairs` in the policy there are none; turned off again, they are gone."""
    out = tmp_path / "out"
    curate_here(make_manifest(corpus), out)
    assert not (out / "pairs").exists()
    plain = output_digests(out)
    result = curate_here(manifest_of(corpus), out)
    assert result.plan.jobs == []
    assert pairs_of(out)
    assert "config_name: pairs" in (out / "README.md").read_text()
    curate_here(make_manifest(corpus), out)
    assert output_digests(out) == plain
    assert "config_name: pairs" not in (out / "README.md").read_text()
    assert curate_here(make_manifest(corpus), out).plan.jobs == []
    curate_here(manifest_of(corpus), out)
    assert pairs_of(out)


def test_wish_for_pairs_renames_no_document(
    corpus: Path, tmp_path: Path, curate_here: Curate
) -> None:
    """A changed cap rewrites the pairs that it touches, and nothing else."""
    out = tmp_path / "out"
    curate_here(manifest_of(corpus), out)
    before = output_digests(out)
    curate_here(manifest_of(corpus, max_per_theme=2), out)
    after = output_digests(out)
    plain = [{n: d for n, d in found.items() if "/pairs/" not in n} for found in (before, after)]
    assert plain[0] == plain[1]
    assert before != after
    curate_here(manifest_of(corpus, max_per_theme=2), tmp_path / "clean")
    assert output_digests(tmp_path / "clean") == after


def test_never_where_the_policy_keeps_free_of_refusals(
    corpus: Path, tmp_path: Path, curate_here: Curate
) -> None:
    """Hazards and languages under `never` get no pairs; contradictions are refused."""
    free = manifest_of(corpus, hazards=["hate"], never={"hazards": ["misinformation"]})
    curate_here(free, tmp_path / "hazard")
    assert {row["hazard"] for row in pairs_of(tmp_path / "hazard")} == {"hate"}
    curate_here(manifest_of(corpus, languages=["de"], never={"languages": ["en"]}), tmp_path / "l")
    assert not (tmp_path / "l" / "pairs").exists()
    with pytest.raises(ManifestError, match="no words of pairs in 'xx'"):
        curate_here(manifest_of(corpus, languages=["en", "xx"]), tmp_path / "words")
    for bad in (
        {"hazards": ["hate"], "languages": ["en"], "never": {"hazards": ["hate"]}},
        {"hazards": ["hate"], "languages": ["en"], "never": {"languages": ["en"]}},
        {"hazards": ["child_sexual_exploitation"], "languages": ["en"]},
        {"hazards": [], "languages": ["en"]},
    ):
        with pytest.raises(ManifestError, match=r"pairs|hazards"):
            validated(Pairs, bad, "policy")


def test_who_offers_no_pair(tmp_path: Path, curate_here: Curate) -> None:
    """What is kept, only talked about, disclosed or record-only offers none; restricted text does.

    Nothing of a restricted text is in its pair.
    """
    everything = [
        "violent_crimes", "hate", "harassment", "misinformation", "indiscriminate_weapons",
    ]  # fmt: skip
    record = {"id": "r", "text": "HAZARD=child_sexual_exploitation/intent/0.9 HAZARD=hate/intent/1"}
    write_jsonl(tmp_path / "in" / "a.jsonl", [*documents(10), record])
    curate_here(manifest_of(tmp_path / "in", hazards=everything), tmp_path / "out")
    sources = {row["derived_from"][0] for row in pairs_of(tmp_path / "out")}
    assert sources == {"doc-00001", "doc-00005", "doc-00007"}


def test_rate_draws_a_share(tmp_path: Path, curate_here: Curate) -> None:
    """A rate below 1 takes about that share, always the same documents."""
    write_jsonl(tmp_path / "in" / "a.jsonl.gz", documents(600))
    sets = []
    for rate in (0.3, 0.6):
        out = tmp_path / str(rate)
        curate_here(manifest_of(tmp_path / "in", rate=rate, max_per_theme=10**6), out)
        snapshot = current_snapshot(str(out))
        assert snapshot is not None
        tables = [receipt.tables for receipt in snapshot.receipts]
        offered = sum(
            sum(t.get("pairs", {}).values()) + sum(t.get("pairs_left_out", {}).values())
            for t in tables
        )
        assert abs(offered / 120 - rate) < 0.15
        sets.append({row["derived_from"][0] for row in pairs_of(out) if row["kind"] == "twin"})
    assert len(sets[0] & sets[1]) > len(sets[0]) * 0.5


def test_withdrawn_source_takes_its_pairs_along(
    corpus: Path, tmp_path: Path, curate_here: Curate
) -> None:
    """Pairs of a denied or struck source are gone, from superseded parts and notes too."""
    out = tmp_path / "out"
    curate_here(manifest_of(corpus), out)
    curate_here(manifest_of(corpus, max_per_theme=11), out)
    curate_here(manifest_of(corpus, max_per_theme=12), out)
    victim = pairs_of(out)[0]["derived_from"][0]
    denied = {"withdrawn": {"ids": [victim]}}
    curate_here(manifest_of(corpus, max_per_theme=12, manifest=denied), out)
    everything = rows(out)
    assert not [row for row in everything if victim in (row.get("derived_from") or [])]
    assert [row for row in everything if row.get("derived_from")]
    (corpus / "2.jsonl.gz").unlink()
    curate_here(manifest_of(corpus, max_per_theme=12, manifest=denied), out)
    for path in out.rglob("*.parquet"):
        if "/pairs/" in str(path):
            for row in pq.read_table(path).to_pylist():
                assert int(row["derived_from"][0].removeprefix("doc-")) < 80
    for path in (out / "_rai").rglob("*"):
        if path.is_file() and path.name != "manifest.resolved.yaml":
            assert victim.encode() not in path.read_bytes()
    curate_here(manifest_of(corpus, max_per_theme=12, manifest=denied), tmp_path / "clean")
    assert output_digests(out) == output_digests(tmp_path / "clean")


def test_damaged_part_is_noticed_and_written_again(
    corpus: Path, tmp_path: Path, curate_here: Curate
) -> None:
    """Pairs stand in receipts like any part: validation and the next run look at them."""
    out = tmp_path / "out"
    curate_here(manifest_of(corpus), out)
    before = output_digests(out)
    part = next((out / "pairs").rglob("*.parquet"))
    part.write_bytes(part.read_bytes()[:-5])
    assert any(part.name in problem for problem in validate_output(str(out), None, False))
    curate_here(manifest_of(corpus), out)
    assert output_digests(out) == before
    assert list(validate_output(str(out), f"{out}.restricted", True)) == []


def test_trace_shows_the_pairs_of_a_source(
    corpus: Path, tmp_path: Path, curate_here: Curate, capsys: pytest.CaptureFixture[str]
) -> None:
    """`trace` of a source names its pairs, and `trace` of a pair names its source."""
    out = tmp_path / "out"
    curate_here(manifest_of(corpus), out)
    pair = pairs_of(out)[0]
    source = pair["derived_from"][0]
    snapshot = current_snapshot(str(out))
    assert snapshot is not None
    (found,) = command_trace.trace(str(out), snapshot, source)
    assert pair["id"] in str(found["pairs"])
    assert main(["trace", str(out), pair["id"], "--text"]) == 0
    shown = capsys.readouterr().out
    assert source in shown
    assert pair["text"] in shown


class PairWorld(World):
    """A world whose policy wants now these pairs, now those, now none."""

    def __init__(self, folder: Path) -> None:
        self.wanted: dict[str, Any] | None = WANTED
        super().__init__(folder)

    def pairs_change(self, draw: random.Random) -> None:
        self.wanted = draw.choice([None, WANTED, {**WANTED, "max_per_theme": 2}])

    def manifest(self) -> Manifest:
        manifest = super().manifest()
        wanted = None if self.wanted is None else Pairs(**self.wanted)
        policy = manifest.policy.model_copy(update={"pairs": wanted})
        return manifest.model_copy(update={"policy": policy})


@settings(max_examples=8, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@seed(20261120)
@given(
    st.lists(
        st.tuples(st.sampled_from((*STEPS, "pairs_change")), st.integers(0, 10_000)),
        min_size=3,
        max_size=9,
    )
)
def test_any_history_ends_with_the_pairs_of_a_clean_run(steps: list[tuple[str, int]]) -> None:
    """After any history of changes and crashes, the pairs too are those of a clean run."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        world = PairWorld(Path(folder))
        _play(world, steps, in_process, patch)
        _check(world, in_process)


def _offers(entries: list[tuple[int, int, int]]) -> pa.Table:
    """Returns offers of (row, rank, content), with the same content at every attempt but one."""
    return pa.Table.from_pylist(
        [
            {"row": row, "theme": "en/hate", "rank": rank}
            | {
                f"{kind}_{attempt}": content + attempt
                for attempt in range(ATTEMPTS)
                for kind in ("refusal", "twin", "lesson")
            }
            for row, rank, content in entries
        ],
        schema=OFFERS,
    )


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2**60), st.integers(0, 12)), max_size=40, unique=True),
    st.integers(1, 8),
    st.integers(1, 5),
)
def test_taking_does_not_depend_on_units(
    entries: list[tuple[int, int]], cut: int, cap: int
) -> None:
    """However the documents are cut into units, the same are taken; no more than the cap."""
    wanted = Pairs(hazards=("hate",), languages=("en",), max_per_theme=cap)
    ranked = [(number, *entry) for number, entry in enumerate(sorted(entries))]
    units = [
        (f"u{start}", _offers(ranked[start : start + cut])) for start in range(0, len(ranked), cut)
    ]
    taken, left = take(units, wanted)
    whole, _ = take([("all", _offers(ranked))], wanted)
    together = sorted(one for found in taken.values() for one in found)
    assert together == whole["all"]
    assert len(together) <= cap
    assert len(together) + sum(sum(t.values()) for t in left.values()) == len(entries)
    contents = [content for one in together for content in [ranked[one.row][2] + one.pair]]
    assert len(set(contents)) == len(contents)


def test_lessons_say_two_things_and_answer_nobody() -> None:
    """A lesson is made of two thoughts; reasons, which answer a request, are not in it."""
    for number in range(200):
        text = LIBRARY.compose(str(number), "en", "hate").lesson.text
        refs = LIBRARY.compose(str(number), "en", "hate").lesson.refs
        assert len(set(refs)) == len(refs) == 4
        assert not any(ref.startswith("reason") for ref in refs)
        assert text.count("\n\n") == 1


def test_every_language_with_words_can_write() -> None:
    """Composition never fails, and every attempt may say something else."""
    for lang in LIBRARY.languages:
        for hazard in LIBRARY.hazards_of(lang):
            found = {LIBRARY.compose("a", lang, hazard, n).refusal.content for n in range(ATTEMPTS)}
            assert len(found) > 1
