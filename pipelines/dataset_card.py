"""The dataset card: makes `load_dataset(OUT, "data")` work, and says what is in the folder."""

from raicurate.corpora_manifests.manifest import Manifest
from raicurate.exercise_templates.pairs import PairLibrary
from raicurate.exercise_templates.prompts import load_prompt, load_rewording_prompt
from raicurate.pipelines.receipts import DATA, EXERCISES, OUTCOMES, PAIRS
from raicurate.pipelines.snapshots import Snapshot
from raicurate.pipelines.totals import Totals


def dataset_card(manifest: Manifest, totals: Totals, snapshot: Snapshot) -> str:
    """Returns the README of an output, with the configurations of its folders."""
    layers = {part.layer for part in snapshot.parts}
    lines = ["---", f"pretty_name: {manifest.name}", "configs:"]
    if DATA in layers:
        lines += ["- config_name: data", "  data_files: data/*/*.parquet", "  default: true"]
    if EXERCISES in layers:
        lines += ["- config_name: exercises", "  data_files: exercises/*/*.parquet"]
    if PAIRS in layers:
        lines += ["- config_name: pairs", "  data_files: pairs/*/*.parquet"]
    lines += ["- config_name: ledger", "  data_files: ledger/*/*.parquet", "---", ""]
    lines += [f"# {manifest.name} {manifest.version}", ""]
    if manifest.description:
        lines += [manifest.description, ""]
    lines += [
        f"Snapshot {snapshot.number}, policy {snapshot.policy['name']} "
        f"{snapshot.policy['version']}. `text` holds original and added text; `spans` says which "
        "is which, where it is not all original.",
        "",
        "| corpus | licence | documents in | " + " | ".join(OUTCOMES) + " |",
        "|---|---|---:|" + "---:|" * len(OUTCOMES),
    ]
    licenses = {corpus.name: corpus.license for corpus in manifest.corpora}
    for name, counts in totals.corpora.items():
        lines.append(_row(name, licenses.get(name, ""), counts))
    lines.append(_row("**total**", "", totals.counts))
    lines += [
        "",
        "Documents in = " + " + ".join(OUTCOMES) + ". Restricted documents are not in this folder; "
        "the ledger has a row for each document that was not withdrawn.",
        "",
    ]
    model = manifest.language_model
    accepted = totals.tables.get("model_context", {}).get("accepted", 0)
    if model is not None and accepted:
        lines += [
            f"The context of {accepted} documents was written by the language model "
            f"`{model.model}` and accepted by the same checks as that of templates; the `ref` of "
            f"its spans begins with the prompt, `{load_prompt(model.prompt).ref}`.",
            "",
        ]
    if EXERCISES in layers:
        lines += [
            "`exercises/` holds learning exercises made of the clauses of policy documents, under "
            "the licence of the document that each names; `heldout/clauses.parquet` says which "
            "clauses are in no exercise, and which documents are nowhere in this folder.",
            "",
        ]
    rewording = manifest.exercises.rewording
    reworded = sum(totals.tables.get("exercises_reworded", {}).values())
    if rewording is not None and reworded:
        ref = load_rewording_prompt(rewording.prompt).ref
        lines += [
            f"The questions of {reworded} exercises were worded by the language model "
            f"`{rewording.model}` in place of templates; clauses, cases, choices and answers were "
            f"not. Their `template` ends with `+{ref}/{rewording.model}`.",
            "",
        ]
    if PAIRS in layers:
        licence = PairLibrary.load().licences
        lines += [
            "`pairs/` holds no text of a document: requests that are declined, twins that are "
            f"helped, and lessons, written from templates ({licence}). `derived_from` names the "
            "document beside which each was written.",
            "",
        ]
    return "\n".join(lines)


def _row(name: str, license_name: str, counts: dict[str, int]) -> str:
    numbers = " | ".join(str(counts[outcome]) for outcome in ("documents_in", *OUTCOMES))
    return f"| {name} | {license_name} | {numbers} |"
