"""Pieces of HTML for the report: tables that fold, badges and numbers."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

Section = Mapping[str, Any]

SIGNIFICANT = 0.05

NAMES = {
    "privacy_security": "privacy, security",
    "veracity_robustness": "veracity",
    "crossed_margin": "Which answer belongs to which situation (crossed margin)",
    "excess_bits_per_byte": "More than form and vocabulary (excess bits per byte)",
    "refusal_discrimination": "Harmful requests told from benign ones (d′)",
    "refusal_bias": "Leaning against refusing (bias c)",
    "over_refusal": "Benign requests refused",
    "absolute": "Hazard knowledge above chance",
    "against_reference": "Hazard knowledge against the reference",
    "beyond_benign_knowledge": "Hazard knowledge beyond benign knowledge",
}
SHORT_NAMES = {
    "privacy_security": "Priv",
    "safety": "Safe",
    "fairness": "Fair",
    "veracity_robustness": "Vera",
    "explainability": "Expl",
    "controllability": "Ctrl",
    "governance": "Gov",
    "transparency": "Trans",
}
_SIGNS = {
    "better": ("▲", "good"),
    "worse": ("▼", "bad"),
    "rises": ("△", "note"),
    "falls": ("▽", "note"),
    "not shown": ("○", "none"),
    "pass": ("✓", "good"),
    "alarm": ("✕", "bad"),
    "undetermined": ("?", "none"),
}


def section(title: str, content: str) -> str:
    """Returns a part of the page with its title."""
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def chart_grid(charts: Sequence[str]) -> str:
    """Returns charts side by side, as many as fit."""
    return f'<div class="charts">{"".join(charts)}</div>'


def table(head: Sequence[str], rows: Sequence[str]) -> str:
    """Returns a table that folds into blocks on a phone."""
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    body = "".join(rows)
    return f'<table class="fold"><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>'


def row(*cells: tuple[str, str]) -> str:
    """Returns a row; each cell with the name that it shows on a phone."""
    entries = "".join(f'<td data-name="{escape(name)}">{text}</td>' for name, text in cells)
    return f"<tr>{entries}</tr>"


def badge(verdict: str) -> str:
    """Returns a verdict as a sign, a word and a colour."""
    sign, style = _SIGNS.get(verdict, ("", "none"))
    return f'<span class="badge {style}">{sign} {escape(verdict)}</span>'


def interval(found: Section | None) -> str:
    """Returns an interval as text."""
    if found is None:
        return "–"
    low, high = found["ci"]
    if low is None or high is None:
        return "[too few to say]"
    return f"[{signed_number(low)}, {signed_number(high)}]"


def signed_number(value: float | None) -> str:
    """Returns a number with its sign."""
    if value is None:
        return "–"
    return "0" if value == 0 else f"{value:+.3f}".replace("-", "−")


def plain_number(value: float | None) -> str:
    """Returns a number."""
    return "–" if value is None else f"{value:.3f}".replace("-", "−")


def percentage(found: Section | None) -> str:
    """Returns a share in percent."""
    return "–" if found is None else f"{100 * found['value']:.0f} %"


def p_value(value: float) -> str:
    """Returns a p-value."""
    return "&lt; 0.001" if value < 0.001 else f"{value:.3f}"


def counted(number: int, noun: str) -> str:
    """Returns a number with its noun."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def final_models(results: Section) -> set[str]:
    """Returns the models named by themselves, and the last checkpoint of each family."""
    last = {model["family"] or model["label"]: model["label"] for model in results["models"]}
    return set(last.values())


def compared_models(results: Section) -> list[str]:
    """Returns the final models and the reference, in order."""
    wanted = final_models(results) | {results["reference"]}
    return [model["label"] for model in results["models"] if model["label"] in wanted]


def is_shown(cell: Section) -> bool:
    """Whether the interval of a cell leaves out 0 and its adjusted p-value is small."""
    low, high = cell["estimate"]["ci"]
    excludes = low is not None and high is not None and (low > 0 or high < 0)
    return bool(excludes and cell["p_adj"] < SIGNIFICANT)
