"""Filters and formatters of datatrove as steps of a manifest, inside our batches.

A filter's verdict and a formatter's change are annotations; the policy decides by `step_failed` and
`step_changed`. What a formatter replaces is recorded in the spans.
"""

import bisect
import copy
import difflib
import importlib
import importlib.metadata
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raicurate.corpora_manifests.errors import ManifestError, MissingExtraError
from raicurate.corpora_manifests.manifest import StepSpec
from raicurate.corpora_manifests.vocabulary import DATA_ACTIONS
from raicurate.transforms.registry import Annotator, with_earlier_steps
from raicurate.transforms.schema import SPAN, STEP

INSTALL = "pip install 'raicurate[datatrove]'"

_PROBE = "A plain sentence shows whether everything that this step needs is installed."


class DatatroveSteps(Annotator):
    """Runs the steps of a manifest, in order, on each document.

    Attributes:
        specs: The steps.
    """

    name = "datatrove"
    version = importlib.metadata.version("datatrove")
    columns = ("steps",)

    def __init__(self, specs: Sequence[StepSpec]) -> None:
        """Makes the steps and tries each on a sentence.

        Raises:
            ManifestError: A step is no filter or formatter, or does not take its parameters.
            MissingExtraError: A step needs a package that is not installed.
        """
        self.specs = tuple(specs)
        self._steps = [(spec.name, _create(spec)) for spec in self.specs]

    def parameters(self) -> dict[str, Any]:
        """Returns the import names and parameters of the steps."""
        return {"steps": [[spec.use, spec.with_] for spec in self.specs]}

    def annotate(self, batch: pa.RecordBatch) -> list[pa.Array]:
        """Returns the column `steps`: a verdict of each step on each document."""
        rows = [
            [{"name": name, **_verdict(step, text, identifier)} for name, step in self._steps]
            for text, identifier in zip(
                batch.column("text").to_pylist(), batch.column("id").to_pylist(), strict=True
            )
        ]
        return [with_earlier_steps(batch, pa.array(rows, pa.list_(STEP)))]

    def reformat(self, applied: pa.RecordBatch, verdicts: pa.Array) -> pa.RecordBatch:
        """Returns published documents with the changes of the steps made in their original text.

        Args:
            applied: Columns `text`, `spans` and `action` among others.
            verdicts: The column `steps` of their annotations.
        """
        if not self._steps or not pc.any(verdicts.flatten().field("changed")).as_py():
            return applied
        texts = applied.column("text").to_pylist()
        spans = applied.column("spans").to_pylist()
        actions = applied.column("action").to_pylist()
        for row, (action, row_verdicts) in enumerate(
            zip(actions, verdicts.to_pylist(), strict=True)
        ):
            # A document on which a step failed has no verdicts; it is published nowhere.
            changed = [verdict["changed"] for verdict in row_verdicts or ()]
            if action in DATA_ACTIONS and any(changed):
                steps = [step for step, hit in zip(self._steps, changed, strict=True) if hit]
                texts[row], spans[row] = _reformatted(texts[row], spans[row], steps)
        for name, values, kind in (
            ("text", texts, pa.string()),
            ("spans", spans, pa.list_(SPAN)),
        ):
            index = applied.schema.get_field_index(name)
            applied = applied.set_column(index, applied.schema.field(index), pa.array(values, kind))
        return applied


def _create(spec: StepSpec) -> Any:
    from datatrove.pipeline.filters.base_filter import BaseFilter
    from datatrove.pipeline.formatters.base import BaseFormatter

    module_name, _, class_name = spec.use.rpartition(".")
    try:
        step_class = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise ManifestError(
            f"step {spec.use!r} cannot be imported ({error}); name a filter or formatter of "
            "datatrove by its full import name"
        ) from error
    if not (isinstance(step_class, type) and issubclass(step_class, BaseFilter | BaseFormatter)):
        raise ManifestError(f"step {spec.use!r} is neither a filter nor a formatter of datatrove")
    try:
        step = step_class(**spec.with_)
        _verdict(step, _PROBE, "probe")
    except ImportError as error:
        raise MissingExtraError(
            f"step {spec.name} needs more packages ({error}); run `{INSTALL}`, and install what "
            "is still named then"
        ) from error
    except Exception as error:
        # Third-party constructors raise whatever they like; no document was seen so far.
        raise ManifestError(
            f"step {spec.name!r} cannot be made: {type(error).__name__}: {error}; correct its "
            "`with:`"
        ) from error
    if _draws_at_random(step):
        raise ManifestError(
            f"step {spec.name!r} draws documents at random, so two runs would differ; use "
            "`--sample` instead, or set its `keep_fraction` to 0"
        )
    return step


def _draws_at_random(step: Any) -> bool:
    """Returns whether a step (as `SamplerFilter` and `C4BadWordsFilter` can) draws by a generator.

    Its state is shared by all copies of the step, so that a verdict depends on those before it.
    """
    drawn_by = getattr(getattr(step, "uniform", None), "__self__", None)
    return isinstance(drawn_by, np.random.Generator) and getattr(step, "keep_fraction", 1) > 0


def _run(step: Any, text: str, identifier: str) -> tuple[str, bool, str | None]:
    from datatrove.data import Document
    from datatrove.pipeline.filters.base_filter import BaseFilter, get_filter_result

    # Some steps count on from document to document; a copy makes the result depend on one alone.
    fresh = copy.deepcopy(step)
    if not isinstance(step, BaseFilter):
        return fresh.format(text), True, None
    document = Document(text=text, id=identifier)
    passed, reason = get_filter_result(fresh.filter(document))
    return document.text, bool(passed), reason


def _verdict(step: Any, text: str, identifier: str) -> dict[str, Any]:
    result, passed, reason = _run(step, text, identifier)
    return {"passed": passed, "reason": reason, "changed": result != text}


def _reformatted(
    text: str, spans: list[dict[str, Any]], steps: Sequence[tuple[str, Any]]
) -> tuple[str, list[dict[str, Any]]]:
    """Applies steps to the original stretches of a document and records what they replaced."""
    everything: list[dict[str, Any]] = [
        {"start": 0, "end": len(text), "kind": "original", "ref": None}
    ]
    pieces = [
        (text[span["start"] : span["end"]], span["kind"], span["ref"])
        for span in spans or everything
    ]
    for name, step in steps:
        pieces = [
            new
            for piece in pieces
            for new in (_edited(piece[0], name, step) if piece[1] == "original" else [piece])
        ]
    result: list[dict[str, Any]] = []
    position = 0
    for content, kind, ref in pieces:
        end = position + len(content)
        result.append({"start": position, "end": end, "kind": kind, "ref": ref})
        position = end
    return "".join(piece[0] for piece in pieces), result


def _edited(original: str, name: str, step: Any) -> list[tuple[str, str, str | None]]:
    changed, _, _ = _run(step, original, "")
    if changed == original:
        return [(original, "original", None)]
    pieces: list[tuple[str, str, str | None]] = []
    for equal, before, after in _differences(original, changed):
        if equal:
            pieces.append((before, "original", None))
        else:
            pieces.append((after, "withheld", f"datatrove:{name}"))
    return pieces


def _differences(original: str, changed: str) -> list[tuple[bool, str, str]]:
    """Returns stretches `(equal, in the original, in the changed text)`, found line by line."""
    before, after = original.splitlines(keepends=True), changed.splitlines(keepends=True)
    stretches: list[tuple[bool, str, str]] = []
    for equal, start, end, new_start, new_end in _regions(before, after):
        old, new = "".join(before[start:end]), "".join(after[new_start:new_end])
        if equal:
            stretches.append((True, old, new))
            continue
        prefix = _common_prefix(old, new)
        suffix = _common_prefix(old[prefix:][::-1], new[prefix:][::-1])
        old_end, new_stop = len(old) - suffix, len(new) - suffix
        stretches += [
            (True, old[:prefix], new[:prefix]),
            (False, old[prefix:old_end], new[prefix:new_stop]),
            (True, old[old_end:], new[new_stop:]),
        ]
    filled = [stretch for stretch in stretches if stretch[1] or stretch[2]]
    joined: list[tuple[bool, str, str]] = []
    for equal, group in itertools.groupby(filled, key=lambda stretch: stretch[0]):
        run = list(group)
        joined.append((equal, "".join(old for _, old, _ in run), "".join(new for *_, new in run)))
    return joined


_Region = tuple[bool, int, int, int, int]


def _regions(before: Sequence[str], after: Sequence[str]) -> Iterator[_Region]:
    """Yields `(equal, start, end, new start, new end)`, in lines, for two lists of lines.

    Lines that stand once in both are anchors, so that only the short stretches between them are
    compared each with each; that would take hours on a long document of repeated lines.
    """
    start = new_start = 0
    for line, new_line in [*_anchors(before, after), (len(before), len(after))]:
        old, new = before[start:line], after[new_start:new_line]
        if len(old) * len(new) <= _COMPARED:
            for tag, first, last, new_first, new_last in difflib.SequenceMatcher(
                None, old, new, autojunk=False
            ).get_opcodes():
                yield (
                    tag == "equal",
                    start + first,
                    start + last,
                    new_start + new_first,
                    new_start + new_last,
                )
        else:
            yield False, start, line, new_start, new_line
        if line < len(before):
            yield True, line, line + 1, new_line, new_line + 1
        start, new_start = line + 1, new_line + 1


_COMPARED = 40_000
"""Pairs of lines that are compared at once: a few milliseconds, even if all are alike."""


def _anchors(before: Sequence[str], after: Sequence[str]) -> list[tuple[int, int]]:
    """Returns the longest run of lines that stand once in both lists, in the same order."""
    places = _single_lines(after)
    pairs = [(line, places[text]) for text, line in _single_lines(before).items() if text in places]
    # The longest increasing subsequence: `ends[n]` is the pair that ends the best run of n + 1.
    ends: list[int] = []
    last_lines: list[int] = []
    before_it: list[int | None] = []
    for index, (_, new_line) in enumerate(pairs):
        length = bisect.bisect_left(last_lines, new_line)
        before_it.append(ends[length - 1] if length else None)
        ends[length : length + 1] = [index]
        last_lines[length : length + 1] = [new_line]
    run: list[tuple[int, int]] = []
    place = ends[-1] if ends else None
    while place is not None:
        run.append(pairs[place])
        place = before_it[place]
    return run[::-1]


def _single_lines(lines: Sequence[str]) -> dict[str, int]:
    counts = Counter(lines)
    return {line: place for place, line in enumerate(lines) if counts[line] == 1}


def _common_prefix(first: str, second: str) -> int:
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
