"""The gallery of educational context: one of each hazard and style, on harmless placeholders.

python -m raicurate.pipelines.context_gallery > docs/context-gallery.md
"""

from collections.abc import Iterator

from raicurate.corpora_manifests.vocabulary import HAZARDS, Hazard, Stance
from raicurate.exercise_templates.context import ContextLibrary, ContextRequest, HazardFacts, Kind

PLACEHOLDER = "(Here stands the passage that this is about.)"

_HEAD = """\
# Gallery of educational context

What a reader of the data sees beside a harmful passage: one of each hazard and style, then notes,
support and withheld passages, then one in each language. The passages themselves are placeholders.
Every document gets its own choice among the variants.

This page is written by `python -m raicurate.pipelines.context_gallery`.
"""


def gallery(library: ContextLibrary) -> str:
    """Returns the page as Markdown."""
    return "\n".join([_HEAD, *_by_hazard_and_style(library), *_others(library)])


def _by_hazard_and_style(library: ContextLibrary) -> Iterator[str]:
    for hazard in HAZARDS:
        yield f"## {hazard}\n"
        for style in library.styles_of("en"):
            yield f"### {hazard}, {style}\n"
            yield _quoted(PLACEHOLDER, _written(library, hazard, "intent", "full", style, "en"))


def _others(library: ContextLibrary) -> Iterator[str]:
    yield "## Benign lookalikes\n"
    for style in library.styles_of("en"):
        yield f"### A note, {style}\n"
        yield _quoted(PLACEHOLDER, _written(library, "hate", "topical", "note", style, "en"))
    yield "## Disclosures\n"
    for style in library.styles_of("en"):
        yield f"### Support, {style}\n"
        said = _written(library, "suicide_self_harm", "disclosure", "support", style, "en")
        yield _quoted(PLACEHOLDER, said)
    yield "## Withheld passages\n"
    for hazard in HAZARDS:
        note = library.withheld_note("gallery", "en", hazard, "detail")
        yield _quoted(f"The text goes on … {note} … and on.")
    yield "## Languages\n"
    for lang in library.languages:
        yield f"### {lang}\n"
        style = library.styles_of(lang)[0]
        yield _quoted("(…)", _written(library, "hate", "intent", "full", style, lang))


def _written(
    library: ContextLibrary, hazard: Hazard, stance: Stance, kind: Kind, style: str, lang: str
) -> str:
    facts = HazardFacts(hazard, stance, 3, target=stance == "intent")
    written = library.write(ContextRequest("gallery", lang, kind, (facts,), styles=(style,)))
    return "" if written is None else written.text


def _quoted(*texts: str) -> str:
    """Returns texts as one Markdown quotation that keeps their lines."""
    lines = "\n\n".join(texts).split("\n")
    # Two spaces at its end keep a line apart from the next one.
    return "\n".join(f"> {line}  " if line else ">" for line in lines) + "\n"


if __name__ == "__main__":
    print(gallery(ContextLibrary.load()), end="")
