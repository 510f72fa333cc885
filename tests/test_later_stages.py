"""What the stages behind the passage-level model share, and what they say without packages."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from raicurate.corpora_manifests.errors import ManifestError, MissingExtraError
from raicurate.corpora_manifests.manifest import AnnotatorSpec
from raicurate.corpora_manifests.vocabulary import HAZARDS, STANCES
from raicurate.transforms.encoder_head import EncoderHead, fit_weights, save_head
from raicurate.transforms.harm_heads import CLASSES
from raicurate.transforms.later_stages import (
    MOST_PASSAGES,
    Seen,
    Verdict,
    earlier,
    relabelled,
    sent_on,
)
from raicurate.transforms.registry import create
from raicurate.transforms.schema import ANNOTATED_HAZARD, HARM_STAGE
from raicurate.transforms.text_encoder import require_libraries


def entry(hazard: str, stance: str, score: float, start: int = 0, end: int = 5) -> dict:
    flags = dict.fromkeys(("operational", "target", "threat"), False)
    return {"hazard": hazard, "stance": stance, "score": score, "start": start, "end": end, **flags}


def batch_of(*documents: tuple[str, float | None, list[dict]]) -> pa.RecordBatch:
    rows = len(documents)
    return pa.RecordBatch.from_pydict(
        {
            "text": [text for text, _, _ in documents],
            "text_sha256": [f"{row:064x}" for row in range(rows)],
            "lang": ["en"] * rows,
            "harm_score": pa.array([score for _, score, _ in documents], pa.float32()),
            "hazards": pa.array([found for *_, found in documents], pa.list_(ANNOTATED_HAZARD)),
        }
    )


def test_the_band_goes_on_and_nothing_above_it() -> None:
    """Unsure, sampled or neither; a document without a score has no stage behind it."""
    batch = batch_of(
        ("Hello", 0.5, [entry("hate", "intent", 0.5)]),
        ("Hello", 0.9, [entry("hate", "intent", 0.9)]),
        ("Hello", 0.0, []),
        ("Hello", None, []),
    )
    assert [(one.row, one.sampled) for one in sent_on(batch, "x", (0.2, 0.8), 0.0)] == [(0, False)]
    assert [(one.row, one.sampled) for one in sent_on(batch, "x", (0.2, 0.8), 1.0)] == [
        (0, False), (2, True),
    ]  # fmt: skip


def test_the_sample_has_its_share_and_follows_from_the_text() -> None:
    """About one in a hundred of what was cleared, the same ones in any order."""
    batch = batch_of(*[("Hello", 0.0, [])] * 4000)
    drawn = {batch["text_sha256"][one.row].as_py() for one in sent_on(batch, "x", (0.2, 0.8), 0.01)}
    assert 20 <= len(drawn) <= 62
    turned = batch.take(pa.array(range(3999, -1, -1)))
    again = sent_on(turned, "x", (0.2, 0.8), 0.01)
    assert {turned["text_sha256"][one.row].as_py() for one in again} == drawn
    assert drawn != {
        batch["text_sha256"][one.row].as_py() for one in sent_on(batch, "y", (0.2, 0.8), 0.01)
    }


def test_a_sampled_document_is_looked_at_far_apart() -> None:
    """Where nothing was found there is no passage to begin with."""
    batch = batch_of(("word " * 2000, 0.0, []))
    [one] = sent_on(batch, "x", (0.2, 0.8), 1.0)
    assert len(one.passages) == MOST_PASSAGES
    assert one.passages[-1][0] > 7000


def test_the_earlier_stages_are_named() -> None:
    """Without them there is nothing to look at again, and the error says what to do."""
    with pytest.raises(ManifestError, match="harm@1"):
        sent_on(pa.RecordBatch.from_pydict({"text": ["a"], "lang": ["en"]}), "x", (0, 1), 0.0)


def test_hazards_and_score_follow_from_the_stances() -> None:
    """What was looked at is said anew; other passages keep their labels; the floor holds."""
    found = [
        entry("hate", "intent", 0.4),
        entry("cyber", "intent", 0.2),
        entry("hate", "topical", 0.3, 6, 9),
    ]
    batch = batch_of(("Hello you", 0.4, found))
    before = earlier(found, (0, 5))
    assert before.hazards == pytest.approx({"hate": 1.0, "cyber": 0.5})
    said = Seen([0.9 if name == "intent" else 0.04 for name in STANCES], before.hazards)
    scores, hazards, stages = relabelled(batch, "encoder", {0: (False, Verdict({(0, 5): said}))})
    assert scores[0].as_py() == pytest.approx(0.9)
    assert {(e["hazard"], e["stance"]): round(e["score"], 2) for e in hazards[0].as_py()} == {
        ("hate", "intent"): 0.9, ("cyber", "intent"): 0.45, ("hate", "topical"): 0.3,
    }  # fmt: skip
    assert stages.type == pa.list_(HARM_STAGE)
    assert stages[0][0]["stage"].as_py() == "encoder"


def test_no_answer_changes_nothing_but_the_record() -> None:
    """The earlier labels stand, and the stage says why it has none."""
    batch = batch_of(("Hello", 0.5, [entry("hate", "intent", 0.5)]), ("Hello", 0.1, []))
    scores, hazards, stages = relabelled(batch, "llm", {0: (True, Verdict({}, no_answer="format"))})
    assert scores.equals(batch["harm_score"])
    assert hazards.equals(batch["hazards"])
    assert stages.to_pylist() == [
        [{"stage": "llm", "sampled": True, "score": None, "stance": None, "no_answer": "format"}],
        None,
    ]


@given(
    st.lists(
        st.tuples(st.sampled_from(HAZARDS), st.sampled_from(STANCES), st.floats(0.05, 1)),
        max_size=6,
        unique_by=lambda one: one[:2],
    ),
    st.lists(st.floats(0, 1), min_size=len(STANCES), max_size=len(STANCES)),
)
def test_any_verdict_gives_valid_labels(given_entries, stances) -> None:
    """Scores are probabilities, hazard and stance stand once, the score is the highest intent."""
    found = [entry(*one) for one in given_entries]
    said = Seen(stances, earlier(found, (0, 5)).hazards or {"hate": 1.0})
    scores, hazards, _ = relabelled(
        batch_of(("Hello", 0.5, found)), "x", {0: (False, Verdict({(0, 5): said}))}
    )
    entries = hazards[0].as_py()
    assert all(0.05 <= e["score"] <= 1 for e in entries)
    assert len({(e["hazard"], e["stance"]) for e in entries}) == len(entries)
    assert scores[0].as_py() == pytest.approx(stances[STANCES.index("intent")], abs=1e-6)
    intents = [e["score"] for e in entries if e["stance"] == "intent"]
    if intents:
        assert max(intents) == pytest.approx(scores[0].as_py(), abs=1e-6)


def test_a_head_learns_stances_and_hazards(tmp_path) -> None:
    """Two regressions over embeddings, as they come back from the folder; the rare is not named."""
    random = np.random.default_rng(0)
    stances = np.array([CLASSES.index("none"), CLASSES.index("intent")] * 40)
    embeddings = random.normal(size=(80, 4))
    embeddings[:, 0] += 3 * stances
    hazards = np.zeros((80, len(HAZARDS)), dtype=bool)
    hazards[1::2, HAZARDS.index("cyber")] = True
    hazards[1, HAZARDS.index("privacy")] = True
    weights = fit_weights(embeddings, stances, hazards, np.ones(80), 1.0)
    description = {
        "manifest": {"band": [0.1, 0.9], "sample": 0.01, "max_tokens": 64},
        "encoder": {"digest": "d"}, "languages": ["en"],
    }  # fmt: skip
    save_head(description, weights, tmp_path)
    head = EncoderHead(tmp_path)
    seen = head.seen(embeddings[1], Seen([0.0] * len(STANCES), {}))
    assert seen.stances[STANCES.index("intent")] > 0.8
    assert seen.hazards == {"cyber": 1.0}
    kept = head.seen(embeddings[1], Seen([0.5] * len(STANCES), {"hate": 1.0}))
    assert kept.hazards == {"hate": 1.0}
    (tmp_path / "head.json").write_text("{}")
    with pytest.raises(ManifestError, match="train it anew"):
        EncoderHead(tmp_path)


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="torch is there")
def test_without_torch_the_error_says_what_to_install() -> None:
    """The extra is named before any document is read."""
    with pytest.raises(MissingExtraError, match=r"raicurate\[encoder\]"):
        require_libraries()


def test_a_missing_head_is_named(tmp_path) -> None:
    """A wrong path is an error at the start, with the path."""
    with pytest.raises(ManifestError, match=str(tmp_path)):
        create("encoder@1", {"head": str(tmp_path)})


def test_the_manifests_of_the_documentation_are_valid() -> None:
    """What the page on the cascade shows can be copied."""
    page = (Path(__file__).parent.parent / "docs" / "cascade.md").read_text(encoding="utf-8")
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]
    specs = [AnnotatorSpec(**entry) for block in blocks for entry in block["annotators"]]
    assert {"encoder@1", "llm_judge@1"} <= {spec.use for spec in specs}
    for spec in specs:
        if spec.use != "encoder@1":  # the head is the reader's own
            create(spec.use, spec.with_)
