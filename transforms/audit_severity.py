"""Severity against ratings: how near the gravity that a policy computes comes to a reader's."""

from collections.abc import Sequence

import numpy as np

from raicurate.corpora_manifests.classifier import load_ratings
from raicurate.corpora_manifests.policy import Policy
from raicurate.transforms.annotate_harm import HarmAnnotator
from raicurate.transforms.audit_answers import ask
from raicurate.transforms.audit_checks import Figure, share
from raicurate.transforms.audit_data import CLASSIFIERS
from raicurate.transforms.labelled_sets import Example

RATINGS = CLASSIFIERS / "severity_ratings.yaml"

HIGHEST = 5


def severities(annotator: HarmAnnotator, policy: Policy, tests: Sequence[Example]) -> list[Figure]:
    """Returns the agreement of severities with the ratings that ship.

    Args:
        annotator: The cascade.
        policy: Whose gravity and thresholds count.
        tests: Held-out examples; ratings of others do not count.
    """
    ratings = load_ratings(RATINGS).ratings
    rated = [e for e in tests if e.id in ratings.get(e.set_name, {})]
    given = np.array([ratings[e.set_name][e.id] for e in rated], dtype=np.int64)
    found = ask(annotator, policy, [e.text for e in rated], [e.lang for e in rated]).severity
    return [
        share("severity_agreement", "rated texts", np.abs(found - given) <= 1),
        share("severity_exact", "rated texts", found == given),
        Figure("severity_kappa", "rated texts", weighted_kappa(found, given), texts=len(rated)),
        share("grave_found", "texts rated 4 or 5 that get at least 3", found[given > 3] >= 3),
    ]


def weighted_kappa(one: np.ndarray, other: np.ndarray) -> float | None:
    """Returns the agreement beyond chance with quadratic weights (Cohen 1968); None for none."""
    if not len(one):
        return None
    steps = np.arange(HIGHEST + 1)
    table = np.zeros((HIGHEST + 1, HIGHEST + 1))
    np.add.at(table, (one, other), 1 / len(one))
    cost = (steps[:, None] - steps[None, :]) ** 2
    expected = float((cost * np.outer(table.sum(axis=1), table.sum(axis=0))).sum())
    return 1 - float((cost * table).sum()) / expected if expected else None
