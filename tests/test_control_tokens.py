from raicurate.corpora_manifests.context_policy import ControlTokens
from raicurate.transforms.context_assembly import Edit, assemble, recover_original
from raicurate.transforms.context_rows import Hazard
from raicurate.transforms.control_tokens import token_edits

SEGMENTS = ControlTokens(scope="segments", dropout=0)
TEXT = "one two three four five six seven eight nine ten"


def hazard(start, end, name="hate", stance="intent", severity=3):
    return Hazard(name, stance, False, 0.9, start, end, False, False, severity)


def marked(wanted, hazards, taken=(), document_id="doc", text=TEXT):
    closings, openings = token_edits(document_id, text, hazards, taken, wanted)
    edits = sorted((*closings, *openings, *taken), key=lambda edit: edit.start)
    return assemble(text, edits)


def test_segments_are_marked_before_and_after():
    """Only passages that are meant are marked, each with its hazard."""
    text, spans = marked(SEGMENTS, [hazard(4, 13), hazard(19, 23, "cyber", "topical")])
    assert text == TEXT[:4] + "<|hate|>two three<|/hate|>" + TEXT[13:]
    assert [span[2:] for span in spans if span[2] == "tag"] == [("tag", "hate")] * 2
    named = [dict(zip(("start", "end", "kind"), span, strict=False)) for span in spans]
    assert recover_original(text, named) == TEXT


def test_passages_that_overlap_are_marked_apart():
    """What lies in two passages is marked once."""
    text, _ = marked(SEGMENTS, [hazard(0, 7), hazard(4, 13, "harassment")])
    assert text.startswith("<|hate|>one two<|/hate|><|harassment|> three<|/harassment|>")


def test_words_are_marked_at_a_rate_by_document():
    """The share of marked words follows the rate, and the same document gets the same words."""
    wanted = ControlTokens(scope="words", rate=0.3, dropout=0)
    long = "word " * 2000
    text, spans = marked(wanted, [hazard(0, len(long))], text=long)
    share = sum(span[2] == "tag" for span in spans) / 2000
    assert 0.25 < share < 0.35
    assert marked(wanted, [hazard(0, len(long))], text=long)[0] == text
    assert marked(wanted, [hazard(0, len(long))], document_id="other", text=long)[0] != text


def test_some_documents_get_no_tokens():
    """Dropout leaves about its share of the documents without."""
    wanted = ControlTokens(scope="segments", dropout=0.25)
    bare = sum(
        marked(wanted, [hazard(0, 3)], document_id=f"d{number}")[0] == TEXT
        for number in range(1000)
    )
    assert 200 < bare < 300


def test_no_token_stands_within_what_is_gone():
    """A withheld passage is not marked word by word, and no token cuts a note in two."""
    note = Edit(4, 13, "withheld", "hate", "[gone]")
    words = ControlTokens(scope="words", rate=1, dropout=0)
    assert (
        marked(words, [hazard(0, 18)], [note])[0] == "<|hate|>one [gone] <|hate|>four" + TEXT[18:]
    )
    closings, openings = token_edits("doc", TEXT, [hazard(6, 10)], [note], SEGMENTS)
    assert [edit.start for edit in (*openings, *closings)] == [13, 13]
