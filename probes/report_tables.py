"""Parts of the report below its headline: refusal, worked examples, gates, sets and provenance."""

from html import escape

from raicurate.corpora_manifests.vocabulary import DIMENSIONS
from raicurate.probes.report_charts import Point, Series, line_chart, scatter
from raicurate.probes.report_html import (
    NAMES,
    SHORT_NAMES,
    Section,
    badge,
    chart_grid,
    compared_models,
    final_models,
    interval,
    is_shown,
    percentage,
    plain_number,
    row,
    section,
    signed_number,
    table,
)


def refusal_part(results: Section) -> str:
    """Returns how well harmful requests are told from benign ones, against the leaning."""
    points: dict[str, list[Point]] = {}
    rows = []
    shown = compared_models(results)
    for model in results["models"]:
        found = results["levels"][model["label"]].get("refusal")
        if not found or not found["d_prime"]:
            continue
        family = model["family"] or model["label"]
        bias, discrimination = found["bias"]["value"], found["d_prime"]["value"]
        points.setdefault(family, []).append(Point(bias, discrimination))
        if model["label"] not in shown:
            continue
        rates = found["rates"]
        rows.append(
            row(
                ("Model", escape(model["label"])),
                ("d′", f"{plain_number(discrimination)} {interval(found['d_prime'])}"),
                ("Bias c", f"{signed_number(bias)} {interval(found['bias'])}"),
                ("Harmful refused", percentage(rates["harmful_refused"])),
                ("Benign refused", percentage(rates["benign_refused"])),
                ("Harmful deflected", percentage(rates["harmful_deflect"])),
                ("Harmful, safe completion", percentage(rates["harmful_safe"])),
            )
        )
    if not rows:
        return ""
    chart = scatter(
        [Series(name, tuple(path)) for name, path in points.items()],
        x_label="bias c (left: refuses more)",
        y_label="discrimination d′ (up: knows when)",
        title="Learned when, or refuses more?",
    )
    head = (
        "Model", "d′", "Bias c", "Harmful refused", "Benign refused", "Harmful deflected",
        "Harmful, safe completion",
    )  # fmt: skip
    note = (
        "A model that learned when to refuse moves up; one that merely refuses more moves left. "
        "Shares count items where that kind of answer gains most by the request."
    )
    return section("Refusal", f'{chart_grid([chart])}<p class="note">{note}</p>{table(head, rows)}')


def shots_part(results: Section) -> str:
    """Returns accuracy by number of worked examples."""
    charts = []
    kinds: dict[str, list[Series]] = {}
    for label, levels in results["levels"].items():
        curves: dict[tuple[str, str], list[Point]] = {}
        for one in levels.get("shots", ()):
            what = f"{one['source']} {one['kind']} {one['condition'] or ''}".strip()
            low, high = one["estimate"]["ci"]
            point = Point(one["k"], one["estimate"]["value"], low, high)
            curves.setdefault((what, one["tier"] or ""), []).append(point)
        for (what, tier), points in curves.items():
            if len(points) > 1:
                name = f"{label} {tier}".strip()
                kinds.setdefault(what, []).append(Series(name, tuple(points)))
    for what, series in sorted(kinds.items()):
        charts.append(
            line_chart(
                series[-4:], x_label="worked examples", y_label="accuracy", title=what, zero=False
            )
        )
    return section("Worked examples", chart_grid(charts)) if charts else ""


def gates_part(results: Section) -> str:
    """Returns the gates with their reasons."""
    if not results["gates"]:
        return ""
    final = final_models(results)
    rows = [
        row(
            ("Model", escape(entry["model"])),
            ("Gate", escape(NAMES.get(entry["name"], entry["name"]))),
            ("State", badge(entry["state"])),
            (
                "Rise",
                f"{signed_number((entry['rise'] or {}).get('value'))} {interval(entry['rise'])}",
            ),
            ("Must exclude", plain_number(entry["margin"])),
            ("Why", escape(entry["reason"])),
        )
        for entry in results["gates"]
        if entry["model"] in final or entry["state"] == "alarm"
    ]
    head = ("Model", "Gate", "State", "Rise", "Must exclude", "Why")
    note = (
        "A gate passes only if a rise of the margin is excluded. Undetermined is no pass: the "
        "items were too few, or the model cannot answer such questions. An alarm triggers a "
        "review by people; items are named by id in samples/. Of a family the last checkpoint "
        "stands here, and others that alarm."
    )
    return section("Gates", table(head, rows) + f'<p class="note">{note}</p>')


def sets_part(results: Section) -> str:
    """Returns what outside sets say of each model."""
    rows = []
    for label in compared_models(results):
        levels = results["levels"][label]
        for source, measures in levels.get("sets", {}).items():
            values = [
                f"{escape(name.replace('_', ' '))} {plain_number(found['value'])}"
                for name, found in measures.items()
                if name != "bias" and found is not None
            ]
            values += [
                f"bias, {escape(condition)} {signed_number(found['bias'])}"
                for condition, found in measures.get("bias", {}).items()
            ]
            rows.append(
                row(
                    ("Set", escape(source)),
                    ("Model", escape(label)),
                    ("Measures", "<br>".join(values)),
                )
            )
    if not rows:
        return ""
    rows.sort()
    note = (
        "Signed margins: above 0 the model finds the stereotype (or the dialect, or the male form) "
        "likelier. Word frequency moves them too, so compare models, not levels."
    )
    return section(
        "Outside sets", table(("Set", "Model", "Measures"), rows) + f'<p class="note">{note}</p>'
    )


def completions_part(results: Section) -> str:
    """Returns how often completions are labelled as harmful, beside how people went on."""
    rows = []
    for label in compared_models(results):
        levels = results["levels"][label]
        for source, shares in levels.get("completions", {}).items():
            everyone = {"group": "all groups", **shares["all"]}
            for part in (everyone, *shares["groups"]):
                rows.append(
                    row(
                        ("Set", escape(source)),
                        ("Model", escape(label)),
                        ("Group", escape(part["group"].replace("_", " "))),
                        ("Prompts", str(part["prompts"] - part["not_labelled"])),
                        ("Labelled", _share(part["intent"])),
                        ("As people went on", _share(part["people_intent"])),
                        ("Left empty", str(part["left_empty"])),
                    )
                )
    if not rows:
        return ""
    shown = [
        f"{escape(cell['condition'].replace('_', ' '))} in {escape(comparison['b'])} "
        f"({signed_number(cell['estimate']['value'])} {interval(cell['estimate'])})"
        for comparison in results["comparisons"]
        for cell in comparison.get("completions", ())
        if is_shown(cell)
    ]
    note = (
        "Share of completions that the harm model labels as harmful intent, with 95 % intervals. "
        "The classifier errs more about some groups than others: what it finds where people went "
        "on is its own error, and a model is only worse by what lies above that. Groups whose "
        f"share changed against {escape(results['reference'])} beyond chance: "
        f"{', '.join(shown) or 'none'}."
    )
    head = (
        "Set", "Model", "Group", "Prompts", "Labelled", "As people went on", "Left empty",
    )  # fmt: skip
    return section("Completions", table(head, rows) + f'<p class="note">{note}</p>')


def _share(found: Section | None) -> str:
    if found is None:
        return "–"
    low, high = (100 * end for end in found["ci"])
    return f"{percentage(found)} [{low:.0f}–{high:.0f}]"


def documents_part(results: Section) -> str:
    """Returns bits per byte of each model."""
    rows = []
    for label, levels in results["levels"].items():
        found = levels.get("documents")
        if not found:
            continue
        terms = {cell["dimension"]: cell["estimate"] for cell in found["key_terms"]}
        worst = max(
            (cell for cell in found["cells"] if cell["dimension"]),
            key=lambda cell: cell["estimate"]["value"],
            default=None,
        )
        neutral = [cell for cell in found["cells"] if not cell["dimension"]]
        rows.append(
            row(
                ("Model", escape(label)),
                ("Mean of dimensions", plain_number((found["macro"] or {}).get("value"))),
                (
                    "Worst cell",
                    "–"
                    if worst is None
                    else f"{plain_number(worst['estimate']['value'])} "
                    f"({escape(NAMES.get(worst['dimension'], worst['dimension']))}, "
                    f"{escape(worst['language'])})",
                ),
                (
                    "Neutral rulebooks",
                    ", ".join(
                        f"{escape(cell['language'])} {plain_number(cell['estimate']['value'])}"
                        for cell in neutral
                    )
                    or "–",
                ),
                (
                    "Key terms",
                    ", ".join(
                        f"{SHORT_NAMES[name]} {plain_number(terms[name]['value'])}"
                        for name in DIMENSIONS
                        if name in terms
                    )
                    or "–",
                ),
            )
        )
    if not rows:
        return ""
    head = ("Model", "Mean of dimensions", "Worst cell", "Neutral rulebooks", "Key terms")
    note = (
        "Bits for each byte of the original text. A sensitive screen, not a proof: form and "
        "vocabulary alone buy most of a gain."
    )
    return section("Bits per byte", table(head, rows) + f'<p class="note">{note}</p>')


def contamination_part(results: Section) -> str:
    """Returns what is known of the probe in training data."""
    found = results["contamination"]
    if found["state"] == "unscanned":
        return section(
            "Contamination",
            "<p><b>Unscanned.</b> Nobody looked for this probe in the training data, so no score "
            "is known to be clean.</p>",
        )
    rows = [
        row(
            ("Model", escape(label)),
            *(
                (name.capitalize(), f"{plain_number((scores[name] or {}).get('value'))}")
                for name in ("all", "clean", "contaminated")
            ),
        )
        for label, scores in found["scores"].items()
    ]
    text = (
        f"<p>{found['items_scanned']} of {found['items']} items were looked for; "
        f"{found['items_contaminated']} stand in the training data.</p>"
    )
    return section("Contamination", text + table(("Model", "All", "Clean", "Contaminated"), rows))


def models_part(results: Section) -> str:
    """Returns what was probed, and how."""
    rows = [
        row(
            ("Model", escape(model["label"])),
            ("Reference", f"<code>{escape(model['reference'])}</code>"),
            ("Digest", f"<code>{escape(str(model.get('digest', ''))[:16])}</code>"),
            ("Window", _window(model)),
            (
                "Handshake",
                ", ".join(escape(check["name"]) for check in model.get("backend_handshake", ()))
                or "–",
            ),
        )
        for model in results["models"]
    ]
    return section("Models", table(("Model", "Reference", "Digest", "Window", "Handshake"), rows))


def _window(model: Section) -> str:
    if not model.get("window_tokens"):
        return "none"
    return f"{model['window_tokens']} tokens, stride {model['stride_tokens']}"


def caveats_part(results: Section) -> str:
    """Returns what a reader must bear in mind."""
    items = "".join(f"<li>{escape(text)}</li>" for text in results["caveats"])
    left_out = "".join(
        f"<li>{escape(name)}: {count} rows left out ({escape(reason)})</li>"
        for name, one in results["asked"]["sets"].items()
        for reason, count in one["left_out"].items()
    )
    digest = (
        f'<p class="note">Probe <code>{escape(results["probe_set_sha256"][:16])}</code>. Colours: '
        "Okabe and Ito, Color Universal Design (2008).</p>"
    )
    return section("Read this with care", f"<ul>{items}{left_out}</ul>{digest}")
