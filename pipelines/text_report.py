"""Plans and totals as lines of text, for terminals."""

from collections.abc import Iterable, Mapping, Sequence

from raicurate.pipelines.plan import Plan
from raicurate.pipelines.receipts import OUTCOMES
from raicurate.pipelines.totals import Totals
from raicurate.transforms.cascade_counts import cascade_lines

_TABLES = {
    "rule": "Decided by rule",
    "action_by_hazard": "Hazard / stance / action (documents)",
    "action_by_language": "Language / action",
    "cascade": "Harm, by stage of the cascade (documents)",
    "unmeasured_language": "Languages without a measured harm model",
    "personal_data": "Personal data found",
    "step_failed": "Rejected by step",
    "rejection": "Context not accepted, by reason",
    "stated_group": "Groups that context says a text turns against, by hazard",
    "identity_mentions": "Mentions of groups, inside and outside of added context",
    "model_context": "Context from the language model",
    "model_tokens": "Tokens behind it",
    "pairs": "Pairs by language and hazard",
    "pairs_left_out": "Pairs not written",
    "exercises": "Exercises by family",
    "exercises_left_out": "Without exercises, by reason",
    "exercises_reworded": "Questions in the words of the language model, by family",
    "exercises_rewording_rejected": "Its words not taken, by reason",
    "exercises_rewording_tokens": "Tokens behind them",
    "error_type": "Errors by type",
}


def plan_lines(plan: Plan) -> list[str]:
    """Returns what happens to how many units."""
    summary = plan.summary()
    rows = [
        (reason, str(values["units"]), megabytes(values["bytes"]))
        for reason, values in summary.items()
    ]
    return table(("plan", "units", "MB"), rows)


def totals_lines(
    totals: Totals,
    tables: Iterable[str] = (
        "rule",
        "cascade",
        "rejection",
        "model_context",
        "pairs",
        "exercises",
        "exercises_reworded",
        "exercises_rewording_rejected",
        "error_type",
    ),
) -> list[str]:
    """Returns where the documents ended, with some of the tables and all damage."""
    header = ("corpus", "in", *OUTCOMES)
    rows = [
        (name, *(str(counts[column]) for column in ("documents_in", *OUTCOMES)))
        for name, counts in [*totals.corpora.items(), ("total", totals.counts)]
    ]
    lines = ["", *table(header, rows)]
    for name in tables:
        counts = totals.tables.get(name, {})
        if counts:
            lines += ["", f"{_TABLES[name]}:"]
            lines += (
                cascade_lines(counts)
                if name == "cascade"
                else [f"  {label:<40} {count:>8}" for label, count in counts.items()]
            )
    if totals.damage:
        lines += ["", "Damaged input:"]
    for damage in totals.damage:
        expected = "expected" if damage.expected else "NOT EXPECTED"
        lines.append(
            f"  {damage.file}: {damage.error_type}, {damage.bytes} bytes lost ({expected})"
        )
    ended = " + ".join(str(totals.counts[name]) for name in OUTCOMES)
    lines += ["", f"Nothing lost: {totals.counts['documents_in']} documents in = {ended}"]
    return lines


def cpu_lines(microseconds: Mapping[str, int]) -> list[str]:
    """Returns the CPU time of a run by stage; nothing where the runner returned none."""
    total = sum(microseconds.values())
    if not total:
        return []
    stages = ", ".join(
        f"{stage} {spent / 1e6:.1f} ({spent / total:.0%})"
        for stage, spent in sorted(microseconds.items(), key=lambda item: (-item[1], item[0]))
    )
    return [f"CPU seconds of the annotators: {stages}"]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns a table whose first column is aligned to the left, the others to the right."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in [header, *rows]
    ]


def megabytes(size: int) -> str:
    """Returns a size in MB (10^6 bytes) with one digit."""
    return f"{size / 1e6:.1f}"
