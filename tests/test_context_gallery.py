from pathlib import Path

from raicurate.corpora_manifests.vocabulary import HAZARDS
from raicurate.exercise_templates.context import ContextLibrary
from raicurate.pipelines.context_gallery import gallery

PAGE = Path(__file__).parents[1] / "docs" / "context-gallery.md"


def test_the_gallery_is_current():
    """The page is what the words give now; `make context` writes it anew."""
    library = ContextLibrary.load()
    page = gallery(library)
    assert PAGE.read_text(encoding="utf-8") == page
    for hazard in HAZARDS:
        for style in library.styles_of("en"):
            assert f"### {hazard}, {style}\n" in page
