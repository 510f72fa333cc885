import re
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from raicurate.corpora_manifests.policy import Policy
from raicurate.exercise_templates.context import ContextLibrary
from raicurate.transforms.contextualize import (
    ATTEMPTS,
    OUTPUT,
    contextualize,
    recover_original,
)
from raicurate.transforms.schema import PERSONAL_DATA
from raicurate.transforms.verify_context import Checks

LIBRARY = ContextLibrary.load()
DEFAULT = Path(__file__).parents[1] / "corpora_manifests" / "policies" / "default.yaml"
DEFAULTS = yaml.safe_load(DEFAULT.read_text(encoding="utf-8"))
POLICY = Policy.model_validate(DEFAULTS)

ACTIVE_HAZARD = pa.struct(
    [
        ("hazard", pa.string()),
        ("stance", pa.string()),
        ("operational", pa.bool_()),
        ("score", pa.float32()),
        ("start", pa.int32()),
        ("end", pa.int32()),
        ("target", pa.bool_()),
        ("threat", pa.bool_()),
        ("severity", pa.int8()),
    ]
)


def policy(**context) -> Policy:
    return Policy.model_validate(DEFAULTS | {"context": DEFAULTS["context"] | context})


def hazard(start, end, name="hate", stance="intent", severity=3, operational=False, **rest):
    facts = {"hazard": name, "stance": stance, "severity": severity, "operational": operational}
    place = {"start": start, "end": end, "score": 0.9}
    return facts | place | {"target": False, "threat": False} | rest


def row(text, hazards=(), **rest):
    action = rest.pop("action", "contextualize")
    base = {"id": "doc", "lang": "en", "role": "web", "rule": "intent", "personal_data": []}
    base |= {"target_group": None}
    base |= {"context_kind": "full" if action == "contextualize" else "none"}
    base |= {"withhold": "nothing", "action": action}
    return base | {"text": text, "active_hazards": list(hazards)} | rest


def batch(*rows) -> pa.RecordBatch:
    schema = pa.schema(
        [
            *((name, pa.string()) for name in ("id", "text", "lang", "role", "action", "rule")),
            ("context_kind", pa.string()),
            ("withhold", pa.string()),
            ("active_hazards", pa.list_(ACTIVE_HAZARD)),
            ("personal_data", pa.list_(PERSONAL_DATA)),
            ("target_group", pa.string()),
        ]
    )
    return pa.RecordBatch.from_pylist(list(rows), schema=schema)


def apply(*rows, policy=POLICY, checks=None) -> list[dict]:
    result = contextualize(batch(*rows), policy, LIBRARY, checks or Checks())
    assert result.num_rows == len(rows)
    assert result.schema.names == OUTPUT.names
    result.validate(full=True)
    return result.to_pylist()


def kinds(result) -> list[str]:
    return [span["kind"] for span in result["spans"]]


def tiles(result) -> bool:
    spans = result["spans"]
    ends = [0, *(span["end"] for span in spans)]
    starts = [*(span["start"] for span in spans), len(result["text"])]
    return ends == starts and all(span["start"] < span["end"] for span in spans)


def part(result, kind) -> list[str]:
    spans = [span for span in result["spans"] if span["kind"] == kind]
    return [result["text"][span["start"] : span["end"]] for span in spans]


def test_context_stands_after_the_text_and_the_original_is_recovered():
    """By default the judgement follows the passage, after a blank line."""
    text = "They are all the same, those people."
    (result,) = apply(row(text, [hazard(0, 10)]))
    assert result["text"].startswith(text + "\n\n")
    assert kinds(result) == ["original", "context"]
    assert re.fullmatch(r"[a-z_]+@\d+/en/hate", result["spans"][1]["ref"])
    assert recover_original(result["text"], result["spans"]) == text
    assert (result["action"], result["rule"], result["rejection"]) == (
        "contextualize",
        "intent",
        None,
    )


def test_context_stands_before_the_text_where_the_policy_says_so():
    """The same context, in front, and worded for what follows."""
    text = "They are all the same, those people."
    (result,) = apply(row(text, [hazard(0, 10)]), policy=policy(placement="before"))
    assert kinds(result) == ["context", "original"]
    assert result["text"].endswith("\n\n" + text)
    assert recover_original(result["text"], result["spans"]) == text


def test_rows_without_anything_to_do_pass_unchanged():
    """No context and no personal data: same text, no spans, which means all original."""
    rows = [
        row("fine", action="keep"),
        row(
            "restricted",
            [hazard(0, 5)],
            action="restrict",
            personal_data=[{"start": 0, "end": 5, "kind": "email"}],
        ),
        row("gone", action="drop"),
    ]
    for before, after in zip(rows, apply(*rows), strict=True):
        assert after["text"] == before["text"]
        assert after["spans"] == []
        assert after["action"] == before["action"]
        assert recover_original(after["text"], after["spans"]) == before["text"]


def test_an_empty_batch_gives_an_empty_batch():
    """No rows in, no rows out, with the same columns."""
    result = contextualize(batch(), POLICY, LIBRARY, Checks())
    assert result.num_rows == 0
    assert result.schema.names == OUTPUT.names


def test_long_texts_get_their_context_at_the_paragraph_of_the_harm():
    """In a long text the context follows the paragraph of the last passage, not the last page."""
    paragraphs = ["word " * 100, "bad thing here. And more.", "word " * 600]
    text = "\n\n".join(paragraphs)
    at = text.index("bad")
    (result,) = apply(row(text, [hazard(at, at + 9)]))
    assert kinds(result) == ["original", "context", "original"]
    head = "\n\n".join(paragraphs[:2])
    assert result["text"].startswith(head + "\n\n")
    assert result["text"].endswith("\n\n" + paragraphs[2])
    assert "\n\n\n" not in result["text"]
    assert recover_original(result["text"], result["spans"]) == text


def test_before_in_long_texts_means_before_the_paragraph():
    """The note that leads stands near the harm as well."""
    paragraphs = ["word " * 700, "bad thing here. And more.", "word " * 20]
    text = "\n\n".join(paragraphs)
    at = text.index("thing")
    (result,) = apply(row(text, [hazard(at, at + 5)]), policy=policy(placement="before"))
    assert kinds(result) == ["original", "context", "original"]
    assert result["text"].endswith("\n\n" + "\n\n".join(paragraphs[1:]))
    assert recover_original(result["text"], result["spans"]) == text


def test_lines_are_paragraphs_where_there_are_no_blank_lines():
    """A text with single line breaks gets its context after the line of the passage."""
    lines = ["word " * 50] * 20
    lines[2] = "bad thing here"
    text = "\n".join(lines)
    at = text.index("bad")
    (result,) = apply(row(text, [hazard(at, at + 3)]))
    first = result["spans"][0]
    assert result["text"][: first["end"]].endswith("bad thing here")
    assert recover_original(result["text"], result["spans"]) == text


@pytest.mark.parametrize(
    ("withhold", "expected"),
    [
        ("operational", "aaaa [x] cccc dddd"),
        ("worst", "aaaa bbbb [x] dddd"),
        ("all", "aaaa bbbb [x] [x]"),
        ("nothing", "aaaa bbbb cccc dddd"),
    ],
)
def test_passages_are_withheld_as_the_rule_says(withhold, expected):
    """Operational passages, the worst one, or all that are meant give way to a note."""
    hazards = [
        hazard(5, 9, "cyber", "topical", 2, operational=True),
        hazard(10, 14, "hate", severity=4),
        hazard(15, 19, "harassment", severity=1),
    ]
    (result,) = apply(row("aaaa bbbb cccc dddd", hazards, withhold=withhold))
    shown = "".join(
        "[x]" if span["kind"] == "withheld" else result["text"][span["start"] : span["end"]]
        for span in result["spans"]
        if span["kind"] != "context"
    )
    assert shown == expected
    assert tiles(result)
    assert all(note.startswith("[") for note in part(result, "withheld"))


def test_overlapping_passages_get_one_note_that_names_the_gravest():
    """Two overlapping passages are one gap."""
    hazards = [hazard(5, 12, "harassment", severity=3), hazard(8, 14, "hate", severity=4)]
    (result,) = apply(row("aaaa bbbb cccc dddd", hazards, withhold="all"))
    refs = [span["ref"] for span in result["spans"] if span["kind"] == "withheld"]
    assert refs == ["hate"]
    assert recover_original(result["text"], result["spans"]) == "aaaa  dddd"


def test_a_text_that_is_withheld_whole_leaves_no_original():
    """Where the passage is the text, nothing of it stays."""
    text = "all of this is bad"
    (result,) = apply(row(text, [hazard(0, len(text), severity=5)], withhold="worst"))
    assert kinds(result) == ["withheld", "context"]
    assert recover_original(result["text"], result["spans"]) == ""
    assert "this is bad" not in result["text"]


def test_personal_data_is_masked_in_everything_published():
    """A kept document loses its address too, and keeps its action."""
    text = "write to a@b.example or b@c.example now"
    data = [
        {"start": 9, "end": 20, "kind": "email"},
        {"start": 24, "end": 35, "kind": "email"},
    ]
    for action in ("keep", "redact"):
        (result,) = apply(row(text, action=action, personal_data=data))
        assert result["text"] == "write to <email> or <email> now"
        assert kinds(result) == ["original", "pii", "original", "pii", "original"]
        assert {span["ref"] for span in result["spans"]} == {None, "email"}
        assert result["action"] == action
        assert recover_original(result["text"], result["spans"]) == "write to  or  now"


def test_only_the_kinds_of_the_policy_are_masked():
    """What the policy does not list stays as it is."""
    chosen = Policy.model_validate(
        DEFAULTS | {"personal_data": {"mask": ["phone"], "placeholder": "[{kind}]"}}
    )
    data = [{"start": 0, "end": 5, "kind": "email"}, {"start": 6, "end": 9, "kind": "phone"}]
    (result,) = apply(row("a@b.c 123 x", action="keep", personal_data=data), policy=chosen)
    assert result["text"] == "a@b.c [phone] x"


def test_masks_inside_a_withheld_passage_vanish_with_it():
    """Of a mask that reaches over the edge of a passage, what lies outside stays a mask."""
    text = "0123456789abcdefghij"
    data = [{"start": 3, "end": 7, "kind": "phone"}, {"start": 8, "end": 10, "kind": "ip"}]
    hazards = [hazard(5, 12, severity=4)]
    (result,) = apply(row(text, hazards, withhold="worst", personal_data=data))
    assert kinds(result) == ["original", "pii", "withheld", "original", "context"]
    assert recover_original(result["text"], result["spans"]) == "012" + "cdefghij"
    assert part(result, "pii") == ["<phone>"]


def test_a_language_without_templates_is_restricted_or_falls_back():
    """Without words in the language the text is restricted, unless the policy names another."""
    text = "jokin teksti"
    (result,) = apply(row(text, [hazard(0, 5)], lang="fi"))
    assert (result["action"], result["rule"]) == ("restrict", "context-not-accepted")
    assert result["rejection"] == "no_template"
    assert (result["text"], result["spans"]) == (text, [])
    for lang in ("fi", None):
        (result,) = apply(
            row(text, [hazard(0, 5)], lang=lang), policy=policy(fallback_language="de")
        )
        assert result["action"] == "contextualize"
        assert "/de/" in result["spans"][-1]["ref"]


def test_a_kept_document_without_a_template_stays_kept_without_a_note():
    """A missing note is no reason to restrict, and personal data is masked all the same."""
    data = [{"start": 0, "end": 2, "kind": "ip"}]
    hazards = [hazard(0, 5, stance="topical")]
    (result,) = apply(
        row("xx text", hazards, lang="fi", action="keep", context_kind="note", personal_data=data)
    )
    assert (result["action"], result["rule"]) == ("keep", "intent")
    assert result["rejection"] == "no_template"
    assert result["text"] == "<ip> text"


def refusing(times):
    """Checks that refuse the first attempts at one document: its wordings, then the whole."""
    calls = []

    def labelled_intent(texts, _):
        calls.append(texts)
        return [len(calls) <= 2 * times] * len(texts)

    return Checks(labelled_intent=labelled_intent), calls


def test_another_attempt_is_made_before_a_document_is_restricted():
    """What is not accepted is written again in another style; after all of them it restricts."""
    text = "something harmful"
    styles = []
    for times in (0, 1, 2):
        checks, _ = refusing(times)
        (result,) = apply(row(text, [hazard(0, 5)]), checks=checks)
        assert (result["action"], result["rejection"]) == ("contextualize", None)
        styles.append(result["spans"][-1]["ref"].partition("@")[0])
    assert len(set(styles)) == 3

    checks, calls = refusing(ATTEMPTS)
    (result,) = apply(row(text, [hazard(0, 5)]), checks=checks)
    assert (result["action"], result["rule"]) == ("restrict", "context-not-accepted")
    assert result["rejection"] == "labelled_intent"
    assert (result["text"], result["spans"]) == (text, [])
    assert len(calls) == 2 * ATTEMPTS


def test_another_attempt_chooses_other_notes_for_withheld_passages():
    """A note that is not accepted does not come back unchanged."""
    hazards = [hazard(0, 5, severity=4)]
    notes = set()
    for times in (0, 1, 2):
        checks, _ = refusing(times)
        (result,) = apply(row("aaaaa bbb", hazards, withhold="worst"), checks=checks)
        notes.add(part(result, "withheld")[0])
    assert len(notes) == 3


def test_a_note_that_is_not_accepted_is_left_out():
    """The document stays as it was, and the reason is kept."""
    checks = Checks(language_of=lambda texts: ["xx"] * len(texts))
    hazards = [hazard(0, 5, stance="topical")]
    (result,) = apply(row("news of it", hazards, action="keep", context_kind="note"), checks=checks)
    assert (result["action"], result["text"], result["spans"]) == ("keep", "news of it", [])
    assert result["rejection"] == "wrong_language"


def test_a_failed_document_does_not_touch_its_neighbours():
    """Rows keep their place whatever happens to others."""
    rows = [
        row("first", [hazard(0, 5)], id="a"),
        row("toinen", [hazard(0, 5)], id="b", lang="fi"),
        row("plain", action="keep", id="c"),
        row("vierte", [hazard(0, 5)], id="d", lang="de"),
    ]
    results = apply(*rows)
    assert [result["action"] for result in results] == [
        "contextualize",
        "restrict",
        "keep",
        "contextualize",
    ]
    originals = [recover_original(result["text"], result["spans"]) for result in results]
    assert originals == ["first", "toinen", "plain", "vierte"]


def test_the_result_does_not_depend_on_the_batch():
    """A document gets the same text alone and among others."""
    rows = [row(f"text {n}", [hazard(0, 4)], id=f"d{n}") for n in range(20)]
    together = apply(*rows)
    assert together == [apply(each)[0] for each in rows]


def test_a_contextualized_document_without_a_hazard_is_restricted():
    """There is nothing to explain, so nothing is made up."""
    (result,) = apply(row("text"))
    assert (result["action"], result["rejection"]) == ("restrict", "no_hazard")


def test_support_speaks_to_the_person():
    """A disclosure gets support and not a judgement."""
    hazards = [hazard(0, 4, "suicide_self_harm", "disclosure", 2)]
    (result,) = apply(row("I cannot go on", hazards, context_kind="support"))
    assert kinds(result) == ["original", "context"]
    assert "you" in part(result, "context")[0]


def test_between_puts_the_context_behind_the_worst_paragraph():
    """The text goes on after it, in short texts too."""
    text = "bad one here.\n\nworse here.\n\nThe rest."
    hazards = [hazard(0, 3, severity=2), hazard(15, 20, severity=4)]
    (result,) = apply(row(text, hazards), policy=policy(placement="between"))
    assert kinds(result) == ["original", "context", "original"]
    assert result["text"].startswith("bad one here.\n\nworse here.\n\n")
    assert result["text"].endswith("\n\nThe rest.")
    assert recover_original(result["text"], result["spans"]) == text


def test_far_passages_of_a_long_text_get_notes_of_their_own():
    """The gravest passage gets the context that speaks of all, the others a note beside them."""
    filler = "\n\n".join(["word " * 60] * 30)
    text = f"insult.\n\n{filler}\n\nworse.\n\n{filler}"
    at = text.index("worse")
    hazards = [hazard(0, 6, "harassment", severity=2), hazard(at, at + 5, severity=4)]
    (result,) = apply(row(text, hazards))
    assert kinds(result) == ["original", "context", "original", "context", "original"]
    note, full = part(result, "context")
    assert result["text"].startswith("insult.\n\n" + note.strip())
    assert len(note) < len(full)
    refs = [span["ref"] for span in result["spans"] if span["kind"] == "context"]
    assert [ref.rpartition("/")[2] for ref in refs] == ["harassment", "hate"]
    assert recover_original(result["text"], result["spans"]) == text


def test_a_fallback_may_be_named_by_language():
    """One language falls back to another, and the rest stays restricted."""
    chosen = policy(fallback_languages={"ko": "en"})
    korean, chinese = apply(
        row("text", [hazard(0, 4)], lang="ko"),
        row("text", [hazard(0, 4)], lang="zh"),
        policy=chosen,
    )
    assert "/en/" in korean["spans"][-1]["ref"]
    assert (chinese["action"], chinese["rejection"]) == ("restrict", "no_template")


def test_slurs_are_masked_where_the_policy_lists_them():
    """Whole words and stems, in passages flagged as hate only, whatever else is done."""
    chosen = policy(slurs={"terms": {"en": ["blorp*", "zed"]}})
    text = "Blorps and zed and zedding. A blorp elsewhere."
    expected = "[slur] and [slur] and zedding. A blorp elsewhere."
    (result,) = apply(row(text, [hazard(0, 27)]), policy=chosen)
    assert result["text"].startswith(expected)
    assert kinds(result)[:2] == ["withheld", "original"]
    kept = row(text, [hazard(0, 27, stance="topical")], action="keep")
    assert apply(kept, policy=chosen)[0]["text"] == expected
    assert apply(kept | {"lang": "de"}, policy=chosen)[0]["text"] == text
    assert apply(row(text, [hazard(0, 27, "cyber")]), policy=chosen)[0]["text"].startswith(text)


def test_control_tokens_are_spans_and_the_original_comes_back():
    """Tokens close before the context, and none of them counts as original."""
    chosen = policy(control_tokens={"scope": "segments", "dropout": 0})
    text = "bad words here"
    (result,) = apply(row(text, [hazard(0, 14)]), policy=chosen)
    assert kinds(result) == ["tag", "original", "tag", "context"]
    assert result["text"].startswith("<|hate|>bad words here<|/hate|>\n\n")
    assert recover_original(result["text"], result["spans"]) == text
    before = policy(control_tokens={"scope": "segments", "dropout": 0}, placement="before")
    (result,) = apply(row(text, [hazard(0, 14)]), policy=before)
    assert kinds(result) == ["context", "tag", "original", "tag"]


def test_facts_stand_in_a_context_only_where_the_policy_names_their_region(tmp_path):
    """A fact that has expired, or is of another region or hazard, is left out."""
    fact = {"region": "DE", "source": "example.org", "expires": "2026-12-31"}
    content = {
        "version": 1,
        "licence": "CC0-1.0",
        "language": "en",
        "reviewed_by_native_speaker": True,
        "facts": [
            fact | {"text": "A fact for everyone there."},
            fact | {"text": "A fact on other things.", "hazards": ["cyber"]},
            fact | {"text": "A fact elsewhere.", "region": "AT"},
            fact | {"text": "A stale fact.", "expires": "2026-01-01"},
        ],
    }
    (tmp_path / "facts.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    library = ContextLibrary.load([tmp_path])
    assert library.digest != LIBRARY.digest
    rows = batch(row("bad words", [hazard(0, 3)]))
    wanted = policy(facts={"regions": ["DE"], "as_of": "2026-06-01"})
    (result,) = contextualize(rows, wanted, library, Checks()).to_pylist()
    assert result["text"].endswith("\n\nA fact for everyone there.")
    (plain,) = contextualize(rows, POLICY, library, Checks()).to_pylist()
    assert " fact" not in plain["text"].rpartition("\n\n")[2]


TEXT = st.text(
    st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("\n \t\r.\u2029")),
    max_size=120,
)


@st.composite
def documents(draw):
    text = draw(TEXT)
    if draw(st.booleans()):
        text = text + "\n\n" + "long text " * 350 + draw(TEXT)
    place = st.tuples(st.integers(0, len(text)), st.integers(0, len(text))).map(sorted)
    stances = st.sampled_from(["intent", "topical"])
    names = st.sampled_from(["hate", "cyber", "privacy"])
    hazards = [
        hazard(
            *draw(place), draw(names), draw(stances), draw(st.integers(1, 5)), draw(st.booleans())
        )
        for _ in range(draw(st.integers(1, 4)))
    ]
    data = [
        dict(zip(("start", "end"), draw(place), strict=True)) | {"kind": draw(KIND)}
        for _ in range(draw(st.integers(0, 3)))
    ]
    return row(
        text,
        hazards,
        withhold=draw(st.sampled_from(["nothing", "operational", "worst", "all"])),
        personal_data=data,
    )


KIND = st.sampled_from(["email", "phone"])


@settings(max_examples=150, deadline=None)
@given(
    documents(),
    st.sampled_from(["after", "before", "between"]),
    st.sampled_from([None, "segments", "words"]),
)
def test_spans_tile_the_text_and_give_back_what_was_not_removed(document, placement, scope):
    """For any Unicode text, its original spans are the original less what was removed."""
    tokens = {"scope": scope, "dropout": 0, "rate": 0.5} if scope else None
    (result,) = apply(document, policy=policy(placement=placement, control_tokens=tokens))
    text = document["text"]
    assert result["rejection"] is None
    assert tiles(result)
    removed = [(data["start"], data["end"]) for data in document["personal_data"]]
    hazards = document["active_hazards"]
    worst = max(each["severity"] for each in hazards)
    told = {
        "nothing": lambda _: False,
        "operational": lambda each: each["operational"],
        "worst": lambda each: each["severity"] == worst,
        "all": lambda each: each["stance"] == "intent",
    }[document["withhold"]]
    removed += [(each["start"], each["end"]) for each in hazards if told(each)]
    gone = {index for start, end in removed for index in range(start, end)}
    kept = "".join(character for index, character in enumerate(text) if index not in gone)
    assert recover_original(result["text"], result["spans"]) == kept
    if not gone:
        assert recover_original(result["text"], result["spans"]).encode() == text.encode()
    assert 1 <= len(part(result, "context")) <= 4
    assert scope or "tag" not in kinds(result)


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.sampled_from(["en", "de"]))
def test_originals_come_back_byte_for_byte_where_nothing_was_removed(text, lang):
    """Context alone never changes a byte of the original."""
    (result,) = apply(row(text, [hazard(0, len(text))], lang=lang))
    assert recover_original(result["text"], result["spans"]).encode() == text.encode()
    assert all(span["end"] <= len(result["text"]) for span in result["spans"])
