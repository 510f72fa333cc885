"""The report of a probe: one page without a network, drawn from the results alone.

What was found comes first, as a table of verdicts; then how it came about. The page works at the
width of a phone: tables fold, charts keep the size of their text, and nothing scrolls sideways.
"""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from raicurate.corpora_manifests.vocabulary import DIMENSIONS
from raicurate.probes.report_charts import (
    ForestRow,
    Point,
    Series,
    diverging,
    forest_plot,
    line_chart,
)
from raicurate.probes.report_html import (
    NAMES,
    SHORT_NAMES,
    Section,
    badge,
    chart_grid,
    counted,
    final_models,
    interval,
    is_shown,
    p_value,
    plain_number,
    row,
    section,
    signed_number,
    table,
)
from raicurate.probes.report_style import STYLE
from raicurate.probes.report_tables import (
    caveats_part,
    completions_part,
    contamination_part,
    documents_part,
    gates_part,
    models_part,
    refusal_part,
    sets_part,
    shots_part,
)


def report_page(results: Section) -> str:
    """Returns the page for the section `rai_probe` of a probe's results."""
    parts: Sequence[Callable[[Section], str]] = (
        _verdicts,
        _curves,
        _forests,
        _heat_map,
        refusal_part,
        shots_part,
        gates_part,
        sets_part,
        completions_part,
        documents_part,
        contamination_part,
        models_part,
        caveats_part,
    )
    name = escape(f"{results['suite']['name']} {results['suite']['version']}")
    body = "".join(part(results) for part in parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Probe: {name}</title><style>{STYLE}</style></head><body><header>"
        f"<h1>What did the models learn?</h1><p>Suite <b>{name}</b>, {_asked(results)}. "
        f"{counted(len(results['models']), 'model')}, compared with "
        f"<b>{escape(results['reference'])}</b>.</p></header><main>{body}</main></body></html>\n"
    )


def _verdicts(results: Section) -> str:
    rows = []
    final = final_models(results)
    for comparison in results["comparisons"]:
        if comparison["b"] not in final:
            continue
        for primary in comparison["primaries"]:
            found = primary["estimate"]
            unit = primary["unit"].replace("'", "′")
            rows.append(
                row(
                    ("Model", escape(comparison["b"])),
                    ("Question", escape(NAMES.get(primary["name"], primary["name"]))),
                    ("Answer", badge(primary["verdict"])),
                    ("Change", f"{signed_number(found['value'])} {escape(unit)}"),
                    ("95 % interval", interval(found)),
                    ("p (Holm)", p_value(primary["p_adj"])),
                    ("Would be seen from", plain_number(found["mde"])),
                )
            )
    gates = [entry for entry in results["gates"] if entry["model"] in final]
    # What needs people stands first.
    alarms = [_gate_row(entry) for entry in gates if entry["state"] == "alarm"]
    others = [_gate_row(entry) for entry in gates if entry["state"] != "alarm"]
    rows = [*alarms, *rows, *others]
    if not rows:
        return section("Verdicts", _level_table(results))
    head = ("Model", "Question", "Answer", "Change", "Interval", "p (Holm)", "Would be seen from")
    note = (
        "A change counts as shown if its interval leaves out 0, p adjusted for the declared "
        "questions of its model is below 0.05, and it exceeds the noise between checkpoints where "
        "that is known. “Would be seen from” is the smallest change that this probe finds four "
        "times in five. Of a family, its last checkpoint stands here."
    )
    return section("Verdicts", table(head, rows) + f'<p class="note">{note}</p>')


def _gate_row(entry: Section) -> str:
    rise = entry["rise"] or {}
    return row(
        ("Model", escape(entry["model"])),
        ("Question", escape(f"Gate: {NAMES.get(entry['name'], entry['name'])}")),
        ("Answer", badge(entry["state"])),
        ("Change", signed_number(rise.get("value"))),
        ("90 % interval", interval(entry["rise"])),
        ("p (Holm)", "–"),
        ("Would be seen from", plain_number(rise.get("mde"))),
    )


def _level_table(results: Section) -> str:
    rows = []
    for label, levels in results["levels"].items():
        for name, unit, found in _level_estimates(levels):
            rows.append(
                row(
                    ("Model", escape(label)),
                    ("Measure", escape(NAMES.get(name, name))),
                    ("Value", f"{signed_number(found['value'])} {unit}"),
                    ("95 % interval", interval(found)),
                )
            )
    return table(("Model", "Measure", "Value", "95 % interval"), rows)


def _level_estimates(levels: Section) -> list[tuple[str, str, Section]]:
    found = [
        ("crossed_margin", "nats", levels.get("crossed", {}).get("macro")),
        ("refusal_discrimination", "d′", levels.get("refusal", {}).get("d_prime")),
        ("refusal_bias", "c", levels.get("refusal", {}).get("bias")),
        ("bits per byte, mean of dimensions", "", levels.get("documents", {}).get("macro")),
    ]
    return [(name, unit, one) for name, unit, one in found if one is not None]


def _curves(results: Section) -> str:
    families = _families(results)
    if not families:
        return ""
    charts = []
    first = next(iter(families.values()))
    x_label = _progress_name(first)

    def macro(kind: str) -> list[Series]:
        return _series(families, results, lambda levels: (levels.get(kind) or {}).get("macro"))

    for kind, title, y_label in (
        ("crossed", "Crossed margin, mean of dimensions", "nats"),
        ("documents", "Bits per byte, mean of dimensions", "bits per byte"),
    ):
        series = macro(kind)
        if series:
            zero = kind == "crossed"
            charts.append(
                line_chart(series, x_label=x_label, y_label=y_label, title=title, zero=zero)
            )
    for dimension in DIMENSIONS:
        series = _series(families, results, lambda levels, name=dimension: _cell(levels, name))
        if any(point.y for one in series for point in one.points):
            title = f"Crossed margin: {NAMES.get(dimension, dimension)}"
            charts.append(line_chart(series, x_label=x_label, y_label="nats", title=title))
    if not charts:
        return ""
    note = (
        "A dimension in which every margin is exactly 0, as with models that look back a few "
        "characters, has no curve. Bands hold all points of a curve at once, with 95 % confidence "
        "over items. What training "
        f"noise adds to that is told between four or more checkpoints: {_noise_text(results)}."
    )
    return section("Over training", chart_grid(charts) + f'<p class="note">{note}</p>')


def _noise_text(results: Section) -> str:
    """Returns the noise of one checkpoint of each family, by primary measure."""
    family = {model["label"]: model["family"] for model in results["models"]}
    found = {}
    for comparison in results["comparisons"]:
        for primary in comparison["primaries"]:
            if primary["sigma_ckpt"] is not None:
                name = f"{family[comparison['b']]}, {primary['name'].replace('_', ' ')}"
                sigma = plain_number(primary["sigma_ckpt"])
                found[name] = f"{escape(name)} ±{sigma} {escape(primary['unit'])}"
    return "; ".join(found.values()) or "there are fewer here"


def _cell(levels: Section, dimension: str) -> Any:
    cells = (levels.get("crossed") or {}).get("dimensions", ())
    return next((one["estimate"] for one in cells if one["dimension"] == dimension), None)


def _series(
    families: Mapping[str, Sequence[Section]], results: Section, pick: Callable[..., Any]
) -> list[Series]:
    found = []
    for family, models in families.items():
        points = []
        for place, model in enumerate(models):
            value = pick(results["levels"][model["label"]])
            if value is not None:
                low, high = value.get("band") or value["ci"]
                points.append(Point(_progress(model, place), value["value"], low, high))
        if len(points) > 1:
            found.append(Series(family, tuple(points)))
    return found


def _families(results: Section) -> dict[str, list[Section]]:
    families: dict[str, list[Section]] = {}
    for model in results["models"]:
        if model["family"] is not None:
            families.setdefault(model["family"], []).append(model)
    return {name: models for name, models in families.items() if len(models) > 1}


def _progress(model: Section, place: int) -> float:
    known = model["tokens"] if model["tokens"] is not None else model["step"]
    return float(place if known is None else known)


def _progress_name(models: Sequence[Section]) -> str:
    if all(model["tokens"] is not None for model in models):
        return "training tokens"
    return "training step" if all(model["step"] is not None for model in models) else "checkpoint"


def _forests(results: Section) -> str:
    charts = []
    final = final_models(results)
    for comparison in [one for one in results["comparisons"] if one["b"] in final][-3:]:
        for key, by in (("dimensions", "dimension"), ("languages", "language"), ("tiers", "tier")):
            cells = comparison.get(key)
            if cells:
                rows = sorted((_forest_row(cell, by) for cell in cells), key=lambda row: -row.value)
                title = f"{comparison['b']}: change by {by}"
                charts.append(forest_plot(rows, x_label="change of the margin, nats", title=title))
        if comparison.get("excess"):
            rows = [_forest_row(cell, "dimension") for cell in comparison["excess"]]
            charts.append(
                forest_plot(
                    sorted(rows, key=lambda row: row.value),
                    x_label="bits per byte; below 0: learned",
                    title=f"{comparison['b']}: excess bits per byte",
                )
            )
    if not charts:
        return ""
    note = (
        "Filled: p adjusted over the panel is below 0.05 and the interval leaves out 0. Hollow: "
        "not shown. Dashed ticks: the smallest change that would have been found four times in "
        "five. Of a family the last checkpoint is drawn, and three models at most; results.json "
        "has all."
    )
    return section(
        "Differences, paired by item", chart_grid(charts) + f'<p class="note">{note}</p>'
    )


def _forest_row(cell: Section, by: str) -> ForestRow:
    found = cell["estimate"]
    low, high = found["ci"]
    label = NAMES.get(cell[by], cell[by]) or "none"
    return ForestRow(label, found["value"], low, high, found["mde"], is_shown(cell))


def _heat_map(results: Section) -> str:
    if results["comparisons"]:
        last = results["comparisons"][-1]
        cells, what = last.get("cells"), f"change of the crossed margin, {last['b']}"
    else:
        label, levels = next(reversed(results["levels"].items()))
        cells, what = (levels.get("crossed") or {}).get("cells"), f"crossed margin, {label}"
    if not cells:
        return ""
    by_place = {(cell["language"], cell["dimension"]): cell for cell in cells}
    languages = sorted(
        {language for language, _ in by_place}, key=lambda name: (name != "en", name)
    )
    most = max(abs(cell["estimate"]["value"]) for cell in cells)
    head = "".join(
        f'<th title="{escape(NAMES.get(name, name))}">{SHORT_NAMES[name]}</th>'
        for name in DIMENSIONS
    )
    rows = []
    for language in languages:
        entries = "".join(_heat_cell(by_place.get((language, name)), most) for name in DIMENSIONS)
        rows.append(f"<tr><th>{escape(language)}</th>{entries}</tr>")
    note = (
        "In nats; blue above 0, orange below. Grey: not shown, because the interval holds 0 or p "
        "adjusted over all cells is 0.05 or more. Few items stand in a cell, so look at rows and "
        "columns first."
    )
    return section(
        "Dimension by language",
        f"<p>{escape(what[0].upper() + what[1:])}.</p>"
        f'<table class="heat"><thead><tr><th></th>{head}</tr></thead><tbody>{"".join(rows)}'
        f'</tbody></table><p class="note">{note}</p>',
    )


def _heat_cell(cell: Section | None, most: float) -> str:
    if cell is None:
        return '<td class="absent">–</td>'
    value = cell["estimate"]["value"]
    title = escape(f"{value:+.3f} {interval(cell['estimate'])}, n={cell['estimate']['clusters']}")
    text = f"{value:+.1f}".replace("-", "−") if abs(value) >= 0.05 else "0"
    if not is_shown(cell):
        return f'<td class="unsure" title="{title}">{text}</td>'
    background, colour = diverging(value, most)
    return f'<td style="background:{background};color:{colour}" title="{title}">{text}</td>'


def _asked(results: Section) -> str:
    asked = results["asked"]
    kinds = [f"{count} {name.replace('_', ' ')} items" for name, count in asked["items"].items()]
    kinds += [
        f"{asked[name]} {text}"
        for name, text in (("documents", "documents"), ("neutral_documents", "neutral rulebooks"))
        if asked[name]
    ]
    return ", ".join(kinds)
