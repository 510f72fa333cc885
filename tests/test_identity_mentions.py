import pyarrow as pa
import yaml

from raicurate.transforms.identity_mentions import GROUPS, identity_mentions
from raicurate.transforms.schema import SPAN


def mentions(text, lang="en", context=None):
    start = len(text) if context is None else text.index(context)
    spans = [{"start": 0, "end": start, "kind": "original", "ref": None}]
    if context is not None:
        spans.append({"start": start, "end": len(text), "kind": "context", "ref": "x"})
    columns = pa.array([text]), pa.array([lang], pa.string()), pa.array([spans], pa.list_(SPAN))
    return dict(identity_mentions(*columns))


def test_mentions_are_told_apart_by_where_they_stand():
    """Inside of the context and outside of it, by group, whole words only."""
    text = "Women and a manly woman. Context: women, Muslims."
    expected = {"women/outside": 2, "women/inside": 1, "muslim/inside": 1}
    assert mentions(text, context="Context") == expected


def test_documents_without_context_do_not_count():
    """Neither does a language without words for groups."""
    assert mentions("women and men") == {}
    assert mentions("naiset. Context: women", "fi", "Context") == {}


def test_scripts_without_spaces_and_stems():
    """A term in Japanese stands within a run of characters; a stem takes any ending."""
    assert mentions("女性の声。付記：移民も", "ja", "付記") == {
        "women/outside": 1,
        "migrants/inside": 1,
    }
    assert mentions("Die Ausländerin. Hinweis", "de", "Hinweis") == {"migrants/outside": 1}


def test_every_language_of_the_templates_has_groups():
    """Terms are lower case and no two groups of a language share one."""
    content = yaml.safe_load(GROUPS.read_text(encoding="utf-8"))["mentions"]
    assert set(content) == {"en", "de", "fr", "es", "it", "pt", "ja", "hi", "ar"}
    for groups in content.values():
        terms = [term for found in groups.values() for term in found]
        assert len(terms) == len(set(terms))
        assert all(term == term.lower() for term in terms)
