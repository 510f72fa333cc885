import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raicurate.corpora_manifests.load import PACKAGE_FOLDER, load_policy
from raicurate.corpora_manifests.vocabulary import HAZARDS
from raicurate.pipelines.cli import main
from raicurate.transforms.audit_answers import severity_of
from raicurate.transforms.audit_card import model_card
from raicurate.transforms.audit_checks import (
    AT_LEAST,
    Figure,
    gap,
    judged,
    precision_at,
    share,
)
from raicurate.transforms.audit_severity import RATINGS, weighted_kappa


@pytest.fixture(scope="module")
def policy():
    """Returns the policy that ships."""
    return load_policy(PACKAGE_FOLDER / "policies" / "default.yaml")


def test_a_figure_holds_or_fails_on_the_right_side():
    """Accuracies must not fall below their limit, error rates must not exceed it."""
    figures = [
        Figure("language_auc", "en", 0.8),
        Figure("language_auc", "de", 0.7),
        Figure("ordinary_flagged", "all", 0.01),
        Figure("ordinary_flagged", "more", 0.03),
        Figure("kind_auc", "en", 0.1),
    ]
    limits = {"language_auc": 0.75, "ordinary_flagged": 0.02}
    assert [v.passed for v in judged(figures, limits)] == [True, False, True, False, True]


def test_what_was_not_measured_does_not_pass():
    """A limit on something that no text measures fails, rather than passing silently."""
    assert not judged([Figure("language_auc", "en", None)], {"language_auc": 0.1})[0].passed


def test_every_limit_of_the_policy_that_ships_is_measured_on_a_known_side(policy):
    """The default policy sets the limits of the checks that a team relies on."""
    assert {"functionality_auc", "ordinary_flagged", "template_gap"} <= set(policy.audit)
    assert "template_gap" not in AT_LEAST


def test_a_gap_counts_large_groups_only():
    """A group of a few texts cannot make a gap by chance."""
    hits = np.array([True] * 40 + [False] * 40 + [True])
    groups = ["a"] * 40 + ["b"] * 40 + ["c"]
    assert gap("template_gap", "all", hits, groups).value == 1.0
    assert gap("template_gap", "all", hits[40:], groups[40:]).value is None


@given(st.lists(st.booleans(), min_size=1))
def test_an_interval_holds_its_share(hits):
    """The Wilson interval lies around the share, within 0 and 1."""
    figure = share("caught", "all", np.array(hits))
    assert 0 <= figure.low <= figure.value <= figure.high <= 1


def test_precision_follows_prevalence():
    """At a low prevalence even few false positives outnumber the hits."""
    assert precision_at(0.5, 1.0, 0.0) == 1.0
    assert precision_at(0.02, 0.8, 0.02) == pytest.approx(0.016 / (0.016 + 0.0196))
    assert precision_at(0.02, 0.0, 0.0) is None


def test_severity_is_gravity(policy):
    """A recipe for harm outranks an insult, and talk about harm outranks neither."""
    entry = {"operational": False, "target": False, "threat": False, "stance": "intent"}
    insult = entry | {"hazard": "harassment", "target": True}
    recipe = entry | {"hazard": "indiscriminate_weapons", "operational": True}
    report = entry | {"hazard": "harassment", "stance": "topical"}
    assert severity_of(recipe, policy) == 5 > severity_of(insult, policy)
    assert severity_of(report, policy) <= severity_of(insult, policy)
    for hazard in HAZARDS:
        assert 0 <= severity_of(entry | {"hazard": hazard}, policy) <= 5


def test_agreement_beyond_chance():
    """Kappa is 1 for equal ratings, 0 for what chance gives, none without ratings."""
    ratings = np.array([0, 1, 2, 5])
    assert weighted_kappa(ratings, ratings) == pytest.approx(1.0)
    assert weighted_kappa(np.array([0, 0, 5, 5]), np.array([0, 5, 0, 5])) == pytest.approx(0.0)
    assert weighted_kappa(ratings[:0], ratings[:0]) is None


def test_ratings_hold_ids_and_no_texts():
    """The ratings that ship are at least 300, from 0 to 5, with ids as short as ids are."""
    text = RATINGS.read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("    ")]
    assert len(rows) >= 300
    for row in rows:
        row_id, _, value = row.strip().rpartition(": ")
        assert len(json.loads(row_id)) < 100
        assert 0 <= int(value) <= 5


def test_an_audit_without_its_data_is_wrong_usage(tmp_path, capsys):
    """An audit never passes over a set that is not there; it names the set and ends with 2."""
    assert main(["audit", "--data", str(tmp_path)]) == 2
    assert "there is no file" in capsys.readouterr().err


def test_the_card_names_what_fails():
    """A reader of the model card sees each figure, its limit, and whether it holds."""
    description = {
        "name": "harm-2",
        "languages": ["en"],
        "inputs": {"mild": "0" * 64},
        "examples": {"mild": {"train/none": 3}},
        "manifest": {
            "sets": [{"name": "mild", "source": "a/b", "license": "MIT", "text_type": "statement"}]
        },
    }
    verdicts = judged([Figure("language_auc", "en", 0.5)], {"language_auc": 0.75})
    card = model_card(description, verdicts, "Read this.")
    assert "| en | 0.500 |  |  | at least 0.75 | **no** |" in card
    assert "0 hold and 1 do not" in card
    assert "| mild | a/b | MIT | statement | 3 |" in card
    assert "Read this." in card
