"""`raicurate preview`: what a manifest would make of its documents, before and after."""

import argparse
import itertools
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from raicurate.corpora_manifests.errors import UsageError
from raicurate.corpora_manifests.load import load_manifest
from raicurate.corpora_manifests.manifest import Manifest
from raicurate.corpora_manifests.vocabulary import HAZARDS
from raicurate.pipelines.blocks import Blocks
from raicurate.pipelines.keys import RunConfig
from raicurate.pipelines.plan import make_plan
from raicurate.pipelines.run import make_config
from raicurate.pipelines.unit_input import read_unit
from raicurate.transforms.decide import Decider

_SHOWN_CHARS = 400


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("manifest", metavar="MANIFEST", type=Path)
    parser.add_argument("--hazard", choices=HAZARDS, help="only documents with this hazard")
    parser.add_argument("--lang", help="only documents in this language")
    parser.add_argument("--style", help="write in this style only")
    parser.add_argument("--count", type=int, default=3, help="documents to show (default 3)")
    parser.add_argument(
        "--limit", type=int, default=1000, help="documents to look at in each corpus (default 1000)"
    )
    parser.add_argument(
        "--show-harm", action="store_true", help="unfold the original text (it may be harmful)"
    )


def execute(options: argparse.Namespace) -> int:
    """Runs the command."""
    manifest = load_manifest(options.manifest)
    if options.style is not None:
        manifest = _with_style(manifest, options.style)
    with tempfile.TemporaryDirectory() as folder:
        config = make_config(manifest, f"{folder}/out", limit=options.limit)
        found = itertools.islice(_changed(config, options.hazard, options.lang), options.count)
        shown = False
        for document in found:
            print("\n".join(_lines(document, options.show_harm)))
            print()
            shown = True
    if not shown:
        print("no document that is looked at gets anything added; raise --limit, or ask for less")
    return 0


def _with_style(manifest: Manifest, style: str) -> Manifest:
    library = Blocks.create(manifest).library
    known = sorted({name for lang in library.languages for name in library.styles_of(lang)})
    if style not in known:
        raise UsageError(f"there is no style {style!r}; known are: {', '.join(known)}")
    context = manifest.policy.context.model_copy(update={"styles": (style,)})
    policy = manifest.policy.model_copy(update={"context": context})
    return manifest.model_copy(update={"policy": policy})


def _changed(config: RunConfig, hazard: str | None, lang: str | None) -> Iterator[dict[str, Any]]:
    """Yields the documents to which something is added, in the order of the input."""
    blocks = Blocks.create(config.manifest)
    for planned in make_plan(config).units:
        corpus = config.corpus(planned.job.unit.corpus)
        decider = Decider(config.manifest.policy, corpus)
        for batch in read_unit(planned.job.unit, config):
            labels = blocks.annotate(batch.documents)
            decisions = decider.decide(labels)
            applied = blocks.apply(batch.documents, labels, decisions, corpus)
            columns = (
                batch.documents.select(["id", "text"]),
                labels.select(["lang"]),
                decisions.select(["active_hazards"]),
                applied.rename_columns(["after", "spans", "action", "rule", "rejection"]),
            )
            rows = zip(*(column.to_pylist() for column in columns), strict=True)
            for parts in rows:
                document = {name: value for part in parts for name, value in part.items()}
                document["corpus"] = corpus.name
                if document["spans"] and _is_asked_for(document, hazard, lang):
                    yield document


def _is_asked_for(document: Mapping[str, Any], hazard: str | None, lang: str | None) -> bool:
    hazards = {found["hazard"] for found in document["active_hazards"]}
    return bool(hazards) and lang in {None, document["lang"]} and (not hazard or hazard in hazards)


def _lines(document: Mapping[str, Any], show_harm: bool) -> Iterator[str]:
    hazards = sorted({f"{h['hazard']} ({h['stance']})" for h in document["active_hazards"]})
    yield f"=== {document['corpus']}: {document['id']} ==="
    yield f"{document['lang']}; {document['action']} by rule {document['rule']}"
    yield f"hazards: {', '.join(hazards)}"
    yield "--- before ---"
    yield document["text"] if show_harm else _folded(document["text"], document["active_hazards"])
    yield "--- after ---"
    pieces = []
    for span in document["spans"]:
        text = document["after"][span["start"] : span["end"]]
        is_original = span["kind"] == "original"
        pieces.append(text if show_harm or not is_original else _hidden(len(text), "original"))
    yield "".join(pieces)


def _folded(text: str, hazards: Sequence[Mapping[str, Any]]) -> str:
    """Returns a text with its flagged passages folded, and cut where it is long."""
    pieces = []
    done = 0
    for hazard in sorted(hazards, key=lambda found: (found["start"], -found["end"])):
        start, end = max(hazard["start"], done), hazard["end"]
        if start < end:
            pieces += [_cut(text[done:start]), _hidden(end - start, hazard["hazard"])]
            done = end
    return "".join([*pieces, _cut(text[done:])])


def _cut(text: str) -> str:
    if len(text) <= _SHOWN_CHARS:
        return text
    half = _SHOWN_CHARS // 2
    return f"{text[:half]} … {text[-half:]}"


def _hidden(length: int, what: str) -> str:
    return f"[folded: {length} characters, {what}]"
