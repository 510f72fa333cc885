"""How far documents went in the cascade for harm, counted from stored annotations.

Names of the counts, all of documents: `stopped/<stage>` by the last stage that saw them (together
all that were annotated for harm), `band/<stage>` sent on since the stage before was unsure,
`sample/<stage>` drawn from those it had cleared, `disagreed/<stage>` of the sample with intent, in
the end or in the words of the stage, `unanswered/<stage>/<reason>` to which a stage had no answer.
"""

from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raicurate.transforms.calibration import wilson

STAGES = ("lexicon", "screen", "passage", "encoder", "llm")
"""In the order in which they see a document. Where a language has no measured model, the lexicon is
the only one; every other document is seen by the word-level `screen`."""


def cascade_counts(labels: pa.RecordBatch, decisions: pa.RecordBatch) -> Counter[str]:
    """Returns the counts of a batch; none for documents without a verdict of the cascade.

    Args:
        labels: Rows of `schema.ANNOTATIONS`.
        decisions: Rows of `decide.DECISIONS`.
    """
    model = labels.column("harm_model")
    measured = pc.fill_null(pc.not_equal(model, "none"), False).to_numpy(zero_copy_only=False)
    counts: Counter[str] = Counter()
    counts["stopped/lexicon"] = labels.num_rows - model.null_count - int(measured.sum())
    stages = labels.column("harm_stages")
    lengths = pc.fill_null(pc.list_value_length(stages), 0).to_numpy(zero_copy_only=False)
    counts["stopped/screen"] = int((measured & (lengths == 0)).sum())
    row = np.repeat(np.arange(labels.num_rows), lengths)
    flat = stages.flatten()
    names = np.array(flat.field("stage").to_pylist(), dtype=object)
    sampled = flat.field("sampled").to_numpy(zero_copy_only=False).astype(bool)
    named = pc.fill_null(pc.equal(flat.field("stance"), "intent"), False)
    intent = _with_intent(decisions)[row] | named.to_numpy(zero_copy_only=False)
    last = np.append(row[1:] != row[:-1], True)[: len(row)]
    for stage in sorted(set(names)):
        own = names == stage
        counts[f"stopped/{stage}"] = int((own & last).sum())
        counts[f"band/{stage}"] = int((own & ~sampled).sum())
        counts[f"sample/{stage}"] = int((own & sampled).sum())
        counts[f"disagreed/{stage}"] = int((own & sampled & intent).sum())
    for name, reason in zip(names, flat.field("no_answer").to_pylist(), strict=True):
        if reason is not None:
            counts[f"unanswered/{name}/{reason}"] += 1
    return +counts


def _with_intent(decisions: pa.RecordBatch) -> np.ndarray:
    hazards = decisions.column("active_hazards")
    found = np.zeros(decisions.num_rows, dtype=bool)
    entries = hazards.flatten()
    if len(entries):
        rows = pc.list_parent_indices(hazards)
        found[rows.filter(pc.equal(entries.field("stance"), "intent")).to_numpy()] = True
    return found


def cascade_lines(counts: Mapping[str, int]) -> Iterator[str]:
    """Yields the counts as lines of text; nothing where no document went through the cascade."""
    total = sum(number for name, number in counts.items() if name.startswith("stopped/"))
    if not total:
        return
    for stage in STAGES:
        stopped = counts.get(f"stopped/{stage}", 0)
        band, sample = counts.get(f"band/{stage}", 0), counts.get(f"sample/{stage}", 0)
        if not (stopped or band or sample):
            continue
        line = f"  {stage:<8} {stopped:>10} stopped here ({stopped / total:.2%})"
        if band or sample:
            line += f", {band} sent on to it ({band / total:.2%})"
        yield line
        if sample:
            disagreed = counts.get(f"disagreed/{stage}", 0)
            low, high = wilson(disagreed, sample)
            yield (
                f"           of {sample} sampled among those cleared before, {disagreed} have "
                f"intent ({disagreed / sample:.1%}, 95 % interval {low:.1%} to {high:.1%})"
            )
        unanswered = {
            name.rpartition("/")[2]: number
            for name, number in counts.items()
            if name.startswith(f"unanswered/{stage}/")
        }
        if unanswered:
            reasons = ", ".join(f"{name} {number}" for name, number in sorted(unanswered.items()))
            yield f"           no answer, so the earlier labels stand: {reasons}"
