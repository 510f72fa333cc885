import itertools
import sys
import time
import types

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raicurate.corpora_manifests.errors import ManifestError, MissingExtraError
from raicurate.corpora_manifests.manifest import StepSpec
from raicurate.transforms import datatrove_steps as steps_module
from raicurate.transforms.annotate import annotate
from raicurate.transforms.datatrove_steps import INSTALL, DatatroveSteps
from raicurate.transforms.schema import SOURCE, SPAN, STEP

QUALITY = "datatrove.pipeline.filters.FineWebQualityFilter"
C4 = "datatrove.pipeline.filters.C4QualityFilter"
PII = "datatrove.pipeline.formatters.PIIFormatter"
SYMBOLS = "datatrove.pipeline.formatters.SymbolLinesFormatter"
FUZZ = settings(deadline=None, max_examples=60)

PROSE = (
    "The river runs through a wide valley, past the old mill and the bridge of stone.\n"
    "In spring the meadows are full of yellow flowers, and the cows come down again.\n"
    "The children of the village walk to school along the bank in any weather.\n"
)
LIST = "\n".join(["home", "about us", "contact", "login", "help"] * 4)


@pytest.fixture(autouse=True, scope="module")
def toy_steps():
    """A module with steps that do what a test needs."""
    from datatrove.pipeline.filters.base_filter import BaseFilter
    from datatrove.pipeline.formatters.base import BaseFormatter

    class EverySecond(BaseFilter):
        """Counts on from document to document."""

        def __init__(self):
            super().__init__()
            self.seen = 0

        def filter(self, _doc):
            self.seen += 1
            return self.seen % 2 == 1, "even"

    class Shout(BaseFormatter):
        def format(self, text):
            return text.upper()

    class Replace(BaseFormatter):
        def __init__(self, old, new=""):
            super().__init__()
            self.old, self.new = old, new

        def format(self, text):
            return text.replace(self.old, self.new)

    class NeedsPackage(BaseFilter):
        def filter(self, _doc):
            import a_package_that_nobody_has  # noqa: F401

    class Fails(BaseFilter):
        def filter(self, doc):
            if "BROKEN" in doc.text:
                raise ValueError(doc.text)
            return True

    module = types.ModuleType("toy_steps")
    for step in (EverySecond, Shout, Replace, NeedsPackage, Fails):
        setattr(module, step.__name__, step)
    module.number = 3
    sys.modules["toy_steps"] = module
    yield
    del sys.modules["toy_steps"]


def steps(*uses):
    specs = [use if isinstance(use, tuple) else (use, {}) for use in uses]
    return DatatroveSteps([StepSpec.model_validate({"use": u, "with": w}) for u, w in specs])


def documents(texts):
    rows = [
        {
            "id": f"d{row}",
            "text": text,
            "source": "s",
            "metadata": "{}",
            "text_sha256": "0",
            "src_file": "f",
            "src_row": row,
        }
        for row, text in enumerate(texts)
    ]
    return pa.RecordBatch.from_pylist(rows, schema=SOURCE)


def verdicts(blocks, texts):
    return blocks.annotate(documents(texts))[0]


def applied(texts, spans=None, actions=None):
    return pa.RecordBatch.from_arrays(
        [
            pa.array(texts, pa.string()),
            pa.array(spans or [[] for _ in texts], pa.list_(SPAN)),
            pa.array(actions or ["redact"] * len(texts)),
        ],
        names=["text", "spans", "action"],
    )


def reformatted(blocks, text, spans=None, action="redact"):
    batch = applied([text], [spans or []], [action])
    return blocks.reformat(batch, verdicts(blocks, [text])).to_pylist()[0]


def pieces(document):
    """Returns kind and content of each span, which together must be the text."""
    content = [
        (span["kind"], document["text"][span["start"] : span["end"]]) for span in document["spans"]
    ]
    assert "".join(piece for _, piece in content) == document["text"]
    return content


def originals(document):
    return [content for kind, content in pieces(document) if kind == "original"]


def in_order(parts, whole):
    """Returns whether parts stand in a whole, one after the other."""
    position = 0
    for part in parts:
        found = whole.find(part, position)
        if found < 0:
            return False
        position = found + len(part)
    return True


def test_a_quality_filter_of_datatrove_judges_each_document():
    """A verdict with the reason that datatrove gives; prose passes, a list of links does not."""
    pytest.importorskip("spacy")
    found = verdicts(steps(QUALITY), [PROSE, LIST]).to_pylist()
    step = {"name": "FineWebQualityFilter", "changed": False, "score": None}
    assert found == [
        [step | {"passed": True, "reason": None}],
        [step | {"passed": False, "reason": "line_punct_ratio"}],
    ]


def test_the_parameters_of_a_filter_are_passed_on():
    """What the manifest says under `with:` reaches the constructor."""
    pytest.importorskip("spacy")
    blocks = steps((QUALITY, {"line_punct_thr": 0.0, "short_line_thr": 1.0}))
    assert verdicts(blocks, [LIST]).to_pylist()[0][0]["reason"] == "char_dup_ratio"


def test_a_formatter_never_rejects_but_says_where_it_changes():
    """An address is masked in the one document that holds it."""
    found = verdicts(steps(PII), ["write to jo@example.net", "no address"]).to_pylist()
    step = {"name": "PIIFormatter", "passed": True, "reason": None, "score": None}
    assert found == [[step | {"changed": True}], [step | {"changed": False}]]


def test_a_filter_may_change_the_text_as_well():
    """C4's filter drops lines; the policy learns of both, the verdict and the change."""
    text = "A whole sentence stands here.\nmenu\nAnother one follows it."
    blocks = steps((C4, {"min_num_sentences": -1}))
    found = verdicts(blocks, [text, "A whole sentence stands here.", "{ in braces }."]).to_pylist()
    assert [(step["passed"], step["changed"], step["reason"]) for (step,) in found] == [
        (True, True, None),
        (True, False, None),
        (False, False, "curly_bracket"),
    ]
    document = reformatted(blocks, text)
    assert document["text"] == "A whole sentence stands here.\nAnother one follows it."
    assert pieces(document) == [
        ("original", "A whole sentence stands here.\n"),
        ("withheld", ""),
        ("original", "Another one follows it."),
    ]


def test_steps_run_in_order_each_on_the_original():
    """The column holds one verdict for each step, in the order of the manifest."""
    blocks = steps("toy_steps.Shout", PII, ("toy_steps.Replace", {"old": "x"}))
    found = verdicts(blocks, ["a x"])
    assert found.type == pa.list_(STEP)
    assert [(step["name"], step["changed"]) for step in found.to_pylist()[0]] == [
        ("Shout", True),
        ("PIIFormatter", False),
        ("Replace", True),
    ]


def test_the_identity_holds_steps_and_the_version_of_datatrove():
    """Another parameter or another datatrove annotates anew."""
    identity = steps(PII, ("toy_steps.Replace", {"old": "x"})).identity()
    assert identity.name == "datatrove"
    assert identity.version[0].isdigit()
    assert identity.parameters == {"steps": [[PII, {}], ["toy_steps.Replace", {"old": "x"}]]}


@pytest.mark.parametrize(
    ("use", "problem"),
    [
        ("no_such_module.Filter", "cannot be imported"),
        ("datatrove.pipeline.filters.NoSuchFilter", "cannot be imported"),
        ("datatrove.data.Document", "neither a filter nor a formatter"),
        ("toy_steps.number", "neither a filter nor a formatter"),
        ((PII, {"remove_mails": True}), "remove_mails.*correct its `with:`"),
        (("datatrove.pipeline.filters.RegexFilter", {"regex_exp": "("}), "correct its `with:`"),
        ("toy_steps.Replace", "correct its `with:`"),
        ("datatrove.pipeline.filters.base_filter.BaseFilter", "abstract"),
    ],
)
def test_a_step_that_cannot_be_made_is_a_manifest_error(use, problem):
    """Wrong names and parameters are told before any document is read."""
    with pytest.raises(ManifestError, match=problem):
        steps(use)


@pytest.mark.parametrize(
    ("use", "refused"),
    [
        (("datatrove.pipeline.filters.SamplerFilter", {"rate": 0.5, "seed": 1}), True),
        (("datatrove.pipeline.filters.SamplerFilter", {}), True),
        (PII, False),
    ],
)
def test_a_step_that_draws_at_random_is_refused(use, refused):
    """Its verdicts would depend on the documents before, and without a seed on the run."""
    if refused:
        with pytest.raises(ManifestError, match="draws documents at random"):
            steps(use)
    else:
        steps(use)


def test_a_step_whose_package_is_missing_names_the_install_line():
    """The package may be needed only when the first document comes, so one is tried."""
    with pytest.raises(MissingExtraError, match="a_package_that_nobody_has") as caught:
        steps("toy_steps.NeedsPackage")
    assert INSTALL in str(caught.value)


def test_without_spacy_the_quality_filter_names_the_install_line(monkeypatch):
    """As on a machine where only the base package is installed."""
    from datatrove.utils import _import_utils, text, word_tokenizers

    caches = [
        value
        for module in (_import_utils, text, word_tokenizers)
        for value in vars(module).values()
        if hasattr(value, "cache_clear")
    ]
    for cache in caches:
        cache.cache_clear()
    monkeypatch.setitem(sys.modules, "spacy", None)
    try:
        with pytest.raises(MissingExtraError, match=r"spacy.*pip install 'raicurate\[datatrove\]'"):
            steps(QUALITY)
    finally:
        for cache in caches:
            cache.cache_clear()


def test_a_step_that_counts_on_judges_each_document_for_itself():
    """The verdict does not depend on what came before, nor on the probe at the start."""
    blocks = steps("toy_steps.EverySecond")
    assert [step["passed"] for (step,) in verdicts(blocks, ["a"] * 4).to_pylist()] == [True] * 4
    assert [step["passed"] for (step,) in verdicts(blocks, ["a"] * 3).to_pylist()] == [True] * 3


@FUZZ
@given(st.lists(st.sampled_from([PROSE, "mail a@example.net", "8.8.8.8 b@example.net", ""])))
def test_results_do_not_depend_on_the_order_of_documents(texts):
    """PIIFormatter takes its replacements in turn; each document starts with the first."""
    blocks = steps(PII, "toy_steps.EverySecond")
    forward = dict(zip(texts, verdicts(blocks, texts).to_pylist(), strict=True))
    backward = dict(zip(texts[::-1], verdicts(blocks, texts[::-1]).to_pylist(), strict=True))
    assert forward == backward
    for text in set(texts):
        one, again = (reformatted(blocks, text) for _ in range(2))
        assert one == again


def test_what_a_formatter_replaces_is_a_span():
    """The original around it stays recoverable, the replacement names its step."""
    document = reformatted(steps(PII), "Hello.\nMail jo@example.net for more.\nBye.")
    assert document["text"] == "Hello.\nMail email@example.com for more.\nBye."
    assert originals(document) == ["Hello.\nMail ", " for more.\nBye."]
    replaced = [span for span in document["spans"] if span["kind"] != "original"]
    assert [(span["kind"], span["ref"]) for span in replaced] == [
        ("withheld", "datatrove:PIIFormatter")
    ]


def test_what_stands_between_two_changes_stays_original():
    """Also where no line is unlike all others."""
    blocks = steps(("toy_steps.Replace", {"old": "x", "new": "-"}))
    assert pieces(reformatted(blocks, "a\nx\na\nx\na\n")) == [
        ("original", "a\n"),
        ("withheld", "-"),
        ("original", "\na\n"),
        ("withheld", "-"),
        ("original", "\na\n"),
    ]


def test_only_the_original_stretches_of_a_document_are_changed():
    """Context that we wrote, and what was masked already, stays as it is."""
    text = "[note] x x <mask> x"
    spans = [
        {"start": 0, "end": 7, "kind": "context", "ref": "t"},
        {"start": 7, "end": 11, "kind": "original", "ref": None},
        {"start": 11, "end": 17, "kind": "pii", "ref": "email"},
        {"start": 17, "end": 19, "kind": "original", "ref": None},
    ]
    blocks = steps(("toy_steps.Replace", {"old": "x", "new": "yy"}))
    document = reformatted(blocks, text, spans)
    assert document["text"] == "[note] yy yy <mask> yy"
    assert [piece for piece in pieces(document) if piece[0] in {"context", "pii"}] == [
        ("context", "[note] "),
        ("pii", "<mask>"),
    ]


@pytest.mark.parametrize("action", ["restrict", "drop", "error"])
def test_what_is_not_published_is_not_changed(action):
    """The restricted tier keeps the original."""
    document = reformatted(steps("toy_steps.Shout"), "quiet", action=action)
    assert (document["text"], document["spans"]) == ("quiet", [])


@pytest.mark.parametrize("action", ["keep", "contextualize", "redact"])
def test_what_is_published_is_changed(action):
    """Whatever the rule that keeps the document."""
    assert reformatted(steps("toy_steps.Shout"), "quiet", action=action)["text"] == "QUIET"


def test_without_changes_a_batch_stays_as_it_is():
    """Also without steps, whose column is null."""
    batch = applied(["quiet", "still"])
    assert steps(PII).reformat(batch, verdicts(steps(PII), ["quiet", "still"])) is batch
    assert steps().reformat(batch, pa.nulls(2, pa.list_(STEP))) is batch


def test_a_document_on_which_a_step_failed_leaves_the_others_alone():
    """Its verdicts are null; it became an error row, and its neighbours are reformatted."""
    blocks = steps("toy_steps.Fails", "toy_steps.Shout")
    texts = ["one", "BROKEN", "three"]
    labels = annotate(documents(texts), [blocks])
    assert labels.column("error_type").to_pylist() == [None, "ValueError", None]
    assert labels.column("steps").to_pylist()[1] is None
    batch = applied(texts, actions=["keep", "error", "keep"])
    result = blocks.reformat(batch, labels.column("steps"))
    assert result.column("text").to_pylist() == ["ONE", "BROKEN", "THREE"]


lines = st.lists(st.text("ab x\n\r*-", max_size=6), max_size=6).map("\n".join)
changing = st.sampled_from(
    [
        ("toy_steps.Shout", {}),
        ("toy_steps.Replace", {"old": "a", "new": "bb"}),
        ("toy_steps.Replace", {"old": "\n", "new": ""}),
        ("toy_steps.Replace", {"old": "b"}),
        (SYMBOLS, {}),
        (C4, {"min_num_sentences": -1, "filter_no_terminal_punct": False}),
    ]
)


@FUZZ
@given(st.one_of(lines, st.text(max_size=30)), st.lists(changing, min_size=1, max_size=2))
def test_spans_give_back_what_was_not_replaced(text, uses):
    """They cover the published text, and the original ones stand in the input in order."""
    document = reformatted(steps(*uses), text)
    if document["spans"]:
        assert in_order(originals(document), text)
        starts = [span["start"] for span in document["spans"]]
        ends = [span["end"] for span in document["spans"]]
        assert starts == [0, *ends[:-1]]
        assert ends[-1] == len(document["text"])
    else:
        assert document["text"] == text


@FUZZ
@given(st.one_of(lines, st.text(max_size=30)), changing)
def test_the_published_text_is_what_the_step_makes_of_the_document(text, use):
    """Going through the differences adds and loses nothing."""
    document = reformatted(steps(use), text)
    (_, step) = steps(use)._steps[0]
    assert document["text"] == steps_module._run(step, text, "")[0]


def test_most_of_a_long_document_stays_original():
    """A change of one line costs that line, and not the rest."""
    text = "".join(f"Line {number} of the document is not touched.\n" for number in range(2000))
    document = reformatted(steps(PII), text + "Mail jo@example.net now.\n" + text)
    kept = sum(len(content) for content in originals(document))
    assert kept > 2 * len(text)


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.sampled_from(["a\n", "b\n", "c\r\n", "dd\n", "e"]) | st.text(max_size=4)),
    st.data(),
)
def test_differences_are_the_two_texts(lines, data):
    """Whatever was deleted, changed or moved: side by side they give both texts back."""
    original = "".join(lines)
    changed = "".join(
        data.draw(st.sampled_from([line, line, "", "new\n", line.upper()]))
        for line in data.draw(st.permutations(lines) | st.just(lines))
    )
    stretches = steps_module._differences(original, changed)
    assert "".join(before for _, before, _ in stretches) == original
    assert "".join(after for _, _, after in stretches) == changed
    assert all(before == after for equal, before, after in stretches if equal)
    assert all(first[0] != second[0] for first, second in itertools.pairwise(stretches))


@given(st.text("ab", max_size=12), st.text("ab", max_size=12))
def test_a_common_prefix_is_as_long_as_it_can_be(first, second):
    """And no longer."""
    length = steps_module._common_prefix(first, second)
    assert first[:length] == second[:length]
    assert first[length : length + 1] != second[length : length + 1] or not first[length:]


@pytest.mark.parametrize("kinds", [7, 10**6])
def test_a_long_document_of_repeated_or_single_lines_is_compared_in_no_time(kinds):
    """A page of 60,000 lines, of which a third is dropped, must not hold up a worker."""
    lines = [f"line {number % kinds}\n" for number in range(60_000)]
    original = "".join(lines)
    changed = "".join(line for number, line in enumerate(lines) if number % 3)
    started = time.process_time()
    stretches = steps_module._differences(original, changed)
    assert time.process_time() - started < 5
    assert "".join(after for _, _, after in stretches) == changed
    if kinds > len(lines):
        kept = sum(len(before) for equal, before, _ in stretches if equal)
        assert kept >= len(changed)
