"""The model card of a harm model: what it is made of and what an audit measured, as Markdown."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from raicurate.transforms.audit_checks import Verdict

TITLES = {
    "functionality_auc": "Functional tests held out of training (English): AUC",
    "hateful_accuracy": "Functional tests: hateful ones found",
    "non_hateful_accuracy": "Functional tests: others cleared",
    "target_gap": "Functional tests: gap of false positives between target groups",
    "other_functionality_auc": "Functional tests in other languages: AUC",
    "other_hateful_accuracy": "Functional tests in other languages: hateful ones found",
    "other_non_hateful_accuracy": "Functional tests in other languages: others cleared",
    "other_target_gap": "Functional tests in other languages: gap between target groups",
    "functionality_accuracy": "Accuracy by functionality",
    "intent_average_precision": "Web snippets, intent against the rest: average precision",
    "intent_auc": "Web snippets, intent against the rest: AUC",
    "intent_caught": "Web snippets with intent found",
    "topical_flagged": "Web snippets that talk about harm, flagged as intent",
    "clear_flagged": "Web snippets without harm, flagged as intent",
    "dialect_agreement": "Dialect pairs with equal verdicts",
    "template_flagged": "Benign identity templates flagged",
    "template_gap": "Benign identity templates: gap between groups",
    "ordinary_flagged": "Ordinary documents flagged as intent",
    "ordinary_flagged_by_language": "Ordinary documents flagged, by language",
    "language_auc": "AUC by language, all kinds of text",
    "kind_auc": "AUC by language and kind of text",
    "caught": "Harmful texts found, by language",
    "false_positives": "Harmless texts flagged, by language",
    "precision_at_2%": "Precision where 2 % of the texts are harmful",
    "precision_at_4%": "Precision where 4 % of the texts are harmful",
    "calibration_error": "Expected calibration error, 15 bins",
    "megabytes_per_second": "Speed of the cascade, MB of text per CPU second",
    "first_stage_cpu_share": "Share of the CPU time that the word-level model takes",
    "escalated": "Documents sent on to the passage-level model",
    "disagreement": "Cleared documents in which the passage-level model finds intent",
    "severity_agreement": "Severity against ratings: within one step",
    "severity_exact": "Severity against ratings: equal",
    "severity_kappa": "Severity against ratings: quadratic weighted kappa",
    "grave_found": "Grave texts found grave",
}


def model_card(description: Mapping[str, Any], verdicts: Sequence[Verdict], notes: str) -> str:
    """Returns the card.

    Args:
        description: Content of the model's `model.json`.
        verdicts: What the audit measured.
        notes: What a reader must know beside the numbers, Markdown.
    """
    return (
        "\n".join(
            [
                *_head(description, verdicts),
                "",
                notes.strip(),
                "",
                *_tables(verdicts),
                *_made_of(description),
            ]
        )
        + "\n"
    )


def _head(description: Mapping[str, Any], verdicts: Sequence[Verdict]) -> Iterator[str]:
    limited = [verdict for verdict in verdicts if verdict.limit is not None]
    failed = sum(not verdict.passed for verdict in limited)
    yield f"# Model card: {description['name']}"
    yield ""
    yield "Written by `raicurate audit`; do not edit by hand."
    yield ""
    yield f"Languages with a measured model: {', '.join(description['languages'])}. Documents in"
    yield "other languages get `model: none`, and null for score and severity."
    yield ""
    held = len(limited) - failed
    yield f"Of {len(limited)} figures with a limit, {held} hold and {failed} do not."


def _tables(verdicts: Sequence[Verdict]) -> Iterator[str]:
    yield "## Measured"
    yield ""
    yield "Shares carry a 95 % Wilson score interval. Texts are those that training never saw."
    checks = list(dict.fromkeys(verdict.figure.check for verdict in verdicts))
    for check in checks:
        own = [verdict for verdict in verdicts if verdict.figure.check == check]
        yield ""
        yield f"### {TITLES.get(check, check)}"
        yield ""
        yield "| of | value | interval | texts | limit | holds |"
        yield "|---|---:|---|---:|---|---|"
        yield from (_row(verdict) for verdict in own)
    yield ""


def _row(verdict: Verdict) -> str:
    figure = verdict.figure
    value = "not measured" if figure.value is None else f"{figure.value:.3f}"
    interval = "" if figure.low is None else f"{figure.low:.3f} to {figure.high:.3f}"
    limit = "" if verdict.limit is None else f"{verdict.side} {verdict.limit:g}"
    holds = "" if verdict.limit is None else ("yes" if verdict.passed else "**no**")
    return f"| {figure.subject} | {value} | {interval} | {figure.texts or ''} | {limit} | {holds} |"


def _made_of(description: Mapping[str, Any]) -> Iterator[str]:
    yield "## Made of"
    yield ""
    yield "| set | source | licence | kind of text | examples | SHA-256 |"
    yield "|---|---|---|---|---:|---|"
    for labelled in description["manifest"]["sets"]:
        counts = description["examples"].get(labelled["name"], {})
        digest = description["inputs"][labelled["name"]][:12]
        yield (
            f"| {labelled['name']} | {labelled['source']} | {labelled['license']} "
            f"| {labelled['text_type']} | {sum(counts.values())} | `{digest}` |"
        )
