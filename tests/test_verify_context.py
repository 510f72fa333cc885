import pytest

from raicurate.corpora_manifests.policy import Context
from raicurate.transforms.piece_verdicts import piece_digest
from raicurate.transforms.verify_context import Checks, Written, rejections

ADDED = "A word on this. It harms people, and there are better ways to say it."
LIMITS = Context()


def written(original="some text", added=ADDED, lang="en", passages=(), removed=(), **rest):
    text = original + "\n\n" + added
    spans = [
        (0, len(original), "original", None),
        (len(original), len(text), "context", "style@1/en/hate"),
    ]
    base = Written(original, text, spans, removed, added, lang, passages)
    return base._replace(**rest)


def reason(document, limits=LIMITS, checks=None):
    return rejections([document], limits, checks or Checks())[0]


def test_a_good_context_is_accepted():
    """Nothing to object to."""
    assert reason(written()) is None
    assert rejections([], LIMITS, Checks()) == []


@pytest.mark.parametrize(
    "change",
    [
        {"text": "some tixt\n\n" + ADDED},
        {"spans": [(0, 9, "original", None)]},
        {"spans": [(0, 8, "original", None), (8, 11 + len(ADDED), "context", None)]},
        {"spans": [(1, 9, "original", None), (9, 11 + len(ADDED), "context", None)]},
        {"spans": [(0, 0, "original", None), (0, 11 + len(ADDED), "context", None)]},
        {"removed": [(0, 4)]},
    ],
)
def test_a_changed_original_is_found(change):
    """A character changed, a gap between spans, or a removal without its note."""
    assert reason(written(**change)) == "original_changed"


def test_what_was_to_be_removed_must_be_gone():
    """A withheld passage that still stands in the text is a changed original."""
    text = "some [note]"
    good = written(
        text=text,
        spans=[(0, 5, "original", None), (5, 11, "withheld", "hate")],
        removed=[(5, 9)],
    )
    assert reason(good) is None
    leaky = good._replace(spans=[(0, 5, "original", None), (5, 11, "original", None)])
    assert reason(leaky) == "original_changed"
    other = good._replace(removed=[(4, 9)])
    assert reason(other) == "original_changed"


def test_the_length_bound_holds_unless_little_is_added():
    """Beyond the ratio only up to the number of characters that the policy allows."""
    limits = Context(max_added_ratio=1.0, max_added_chars=50)
    assert len(ADDED) > 50
    assert reason(written(), limits) == "length_ratio"
    assert reason(written(original="x" * len(ADDED)), limits) is None
    assert reason(written(), Context(max_added_ratio=1.0, max_added_chars=100)) is None


@pytest.mark.parametrize(
    "flaw",
    [
        "A {{ slot }} here.",
        "A {% tag %} here.",
        "Two  spaces.",
        "Two stops.. here.",
        "A comma , too far.",
        "Doubled,, comma.",
        "An empty “” pair.",
        "An empty () pair.",
        "二つ。。です",
        "دو ،، هنا",
        "A mark \ue000 left.",
        "A space at the end \nof a line.",
        "",
    ],
)
def test_flaws_of_assembly_are_found(flaw):
    """Open slots, gaps and doubled punctuation are not fluent."""
    assert reason(written(added=flaw)) == "not_fluent"


@pytest.mark.parametrize(
    "fine",
    [
        "And so on... and on.",
        "Vraiment\u202f? Oui\u00a0: «\u00a0non\u00a0».",
        "Frage: Was?\nAntwort: Das.",
        "“Really?” he asked.",
        "本当ですか？はい。",
        "هل هذا صحيح؟ نعم، بالطبع.",
        "1.5 of .5",
    ],
)
def test_good_typography_is_fluent(fine):
    """Ellipses, French spaces and other scripts are no flaws."""
    assert reason(written(added=fine)) is None


RUN = "one two three four five six seven eight"


def test_eight_words_of_a_passage_must_not_come_back():
    """Eight words in a row are a copy, whatever stands between them; seven are not."""
    passage = f"zero {RUN} nine"
    assert reason(written(added=f"Say {RUN}, he said.", passages=[passage])) == "repeats_passage"
    spread = "Say: One, two; three – four five six SEVEN eight."
    assert reason(written(added=spread, passages=[passage])) == "repeats_passage"
    assert reason(written(added=f"Say {RUN[:-6]}.", passages=[passage])) is None
    assert reason(written(added=f"Say {RUN}.", passages=["short"])) is None
    mixed = "eight seven six five four three two one"
    assert reason(written(added=f"Say {RUN}.", passages=[mixed])) is None


@pytest.mark.parametrize("offset", range(9))
def test_copies_are_found_wherever_they_begin(offset):
    """The short cut over blocks of words misses no position."""
    passage = " ".join([*(f"w{n}" for n in range(offset)), RUN, "end"])
    assert reason(written(added=f"He wrote {RUN} yes.", passages=[passage])) == "repeats_passage"


def test_words_must_match_whole():
    """The tail of a longer word does not count as the word."""
    assert reason(written(added=f"Say x{RUN}x.", passages=[RUN])) is None


def test_in_scripts_without_spaces_characters_are_counted():
    """Sixteen characters in a row of a Japanese passage are a copy."""
    passage = "これはとてもひどい内容の文章でありここには引用しない"
    copy = f"本文には「{passage[3:19]}」とある。"
    assert reason(written(added=copy, lang="ja", passages=[passage])) == "repeats_passage"
    short = f"本文には「{passage[3:17]}」とある。"
    assert reason(written(added=short, lang="ja", passages=[passage])) is None


LONG = "This paragraph is long enough for a language to be told from it without much doubt at all."


def test_the_language_of_every_long_paragraph_counts():
    """One paragraph in another language is enough; short ones are not asked about."""
    asked = []

    def language_of(texts):
        asked.extend(texts)
        return ["de" if "nicht" in text else "en" for text in texts]

    other = LONG.replace("not", "nicht").replace("without", "nicht ohne")
    checks = Checks(language_of=language_of)
    assert reason(written(added=f"{LONG}\n\nJa."), checks=checks) is None
    assert reason(written(added=f"{LONG}\n\n{other}"), checks=checks) == "wrong_language"
    assert asked == [LONG, other]


def test_added_text_must_not_be_harmful_itself():
    """A text that the harm model calls harmful is refused, and nothing is asked twice."""
    asked = []

    def labelled_intent(texts, langs):
        asked.extend(zip(texts, langs, strict=True))
        return ["bad" in text for text in texts]

    checks = Checks(labelled_intent=labelled_intent)
    documents = [written(added="Good.\n\nAlso good."), written(added="Good.\n\nThis is bad.")]
    assert rejections(documents, LIMITS, checks) == [None, "labelled_intent"]
    assert rejections(documents, LIMITS, checks) == [None, "labelled_intent"]
    assert asked == [("Good.\n\nAlso good.", "en"), ("Good.\n\nThis is bad.", "en")]


def of_pieces(*pieces, lang="en"):
    return written(added="\n\n".join(pieces), pieces=pieces, lang=lang)


def test_wordings_that_recur_are_asked_about_once():
    """Another document of the same wordings asks nothing; only what is objected to asks more."""
    asked = []

    def labelled_intent(texts, _):
        asked.append(list(texts))
        return [text == "Odd." for text in texts]

    checks = Checks(labelled_intent=labelled_intent)
    assert reason(of_pieces("Good.", "Fine."), checks=checks) is None
    assert reason(of_pieces("Fine.", "Good."), checks=checks) is None
    assert asked == [["Good.", "Fine."]]
    assert reason(of_pieces("Good.", "Odd."), checks=checks) is None
    assert reason(of_pieces("Odd."), checks=checks) == "labelled_intent"
    assert asked[1:] == [["Odd."], ["Good.\n\nOdd."], ["Odd."]]


def test_a_wording_in_another_language_is_seen_in_its_paragraph():
    """What is wrong alone is judged as part of its paragraph."""

    def language_of(texts):
        return ["de" if text.count("nicht") > text.count("not") else "en" for text in texts]

    checks = Checks(language_of=language_of)
    other = LONG.replace("not", "nicht").replace("without", "nicht ohne")
    assert reason(of_pieces(LONG, LONG + "!"), checks=checks) is None
    assert reason(of_pieces(LONG, other), checks=checks) == "wrong_language"


def test_short_wordings_alone_do_not_prove_a_language():
    """Where little of a text can be told by its wordings, its paragraphs are asked about."""
    checks = Checks(language_of=lambda texts: ["de"] * len(texts))
    short = ("Some words in a row here, ", "and some other words in a row here, ", "and still some")
    document = written(added="".join(short) + " others.", pieces=short)
    assert len(document.added) >= 80
    assert reason(document, checks=checks) == "wrong_language"


def test_cleared_wordings_are_not_asked_about():
    """Stored verdicts stand for the answer, in their language only."""

    def never(*_):
        raise AssertionError

    cleared = frozenset({piece_digest("en", LONG)})
    checks = Checks(never, never, told=cleared, harmless=cleared)
    assert reason(of_pieces(LONG), checks=checks) is None
    with pytest.raises(AssertionError):
        reason(of_pieces(LONG, lang="de"), checks=checks)


def test_each_document_is_judged_for_itself():
    """Reasons keep the order of the documents."""
    documents = [written(), written(added="Two  spaces."), written(text="x"), written()]
    assert rejections(documents, LIMITS, Checks()) == [
        None,
        "not_fluent",
        "original_changed",
        None,
    ]
