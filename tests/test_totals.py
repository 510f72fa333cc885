import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raicurate.corpora_manifests.errors import ContractError, PartialRunError
from raicurate.pipelines.receipts import OUTCOMES, Damage, Receipt
from raicurate.pipelines.totals import Totals

counts_of_units = st.lists(
    st.tuples(
        st.sampled_from(["web", "books"]),
        st.lists(st.integers(0, 9), min_size=len(OUTCOMES), max_size=len(OUTCOMES)),
    ),
    max_size=5,
)


def receipt(corpus="web", damage=(), documents_in=None, tables=None, **ends):
    counts = dict.fromkeys(OUTCOMES, 0) | ends
    counts["documents_in"] = sum(ends.values()) if documents_in is None else documents_in
    return Receipt(
        unit="u",
        corpus=corpus,
        files=[],
        request="r",
        components={},
        keys={},
        counts=counts,
        text_bytes=10,
        tables=tables or {},
        damage=list(damage),
    )


def totals_of(receipts, expected=None):
    return Totals.of(receipts, expected or {})


@given(counts_of_units)
def test_totals_are_sums_by_corpus_and_over_all(units):
    """Each number of each unit is counted once."""
    totals = totals_of(
        receipt(corpus, **dict(zip(OUTCOMES, ends, strict=True))) for corpus, ends in units
    )
    assert totals.units == len(units)
    assert totals.text_bytes == 10 * len(units)
    for index, name in enumerate(OUTCOMES):
        assert totals.counts[name] == sum(ends[index] for _, ends in units)
        for corpus in totals.corpora:
            expected = sum(ends[index] for of, ends in units if of == corpus)
            assert totals.corpora[corpus][name] == expected
    assert set(totals.corpora) == {corpus for corpus, _ in units}
    if any(sum(ends) for _, ends in units):
        totals.check_conservation()


def test_the_receipts_stay_as_they_are():
    """Adding up does not change what is added."""
    one = receipt(keep=3, tables={"rule": {"keep": 3}})
    totals_of([one, one])
    assert one.counts["keep"] == 3
    assert one.tables == {"rule": {"keep": 3}}


@pytest.mark.parametrize("difference", [-1, 1])
def test_a_document_lost_or_doubled_is_a_broken_contract(difference):
    """Whether too many or too few are accounted for; the message holds both numbers."""
    totals = totals_of([receipt(keep=3), receipt(documents_in=5 + difference, keep=5)])
    with pytest.raises(ContractError, match=f"{8 + difference} documents were read, but 8"):
        totals.check_conservation()


def test_every_outcome_enters_the_law():
    """Errors and withdrawn documents are accounted for as well."""
    totals_of([receipt(**dict.fromkeys(OUTCOMES, 1))]).check_conservation()
    for name in OUTCOMES:
        ends = dict.fromkeys(OUTCOMES, 1) | {name: 2}
        with pytest.raises(ContractError):
            totals_of([receipt(documents_in=len(OUTCOMES), **ends)]).check_conservation()


@pytest.mark.parametrize("receipts", [[], [receipt()]])
def test_no_document_at_all_is_a_broken_contract(receipts):
    """An empty result is never a success."""
    with pytest.raises(ContractError, match="no document was found"):
        totals_of(receipts).check_conservation()


@pytest.mark.parametrize(
    ("errors", "budget", "partial"),
    [(0, 0.0, False), (1, 0.01, False), (2, 0.01, True), (1, 0.0, True), (100, 1.0, False)],
)
def test_errors_up_to_the_budget_are_allowed(errors, budget, partial):
    """The share of all documents; the budget itself is still within it."""
    totals = totals_of([receipt(keep=100 - errors, errors=errors)])
    assert (totals.fault(budget) is not None) == partial
    if partial:
        with pytest.raises(PartialRunError, match=f"{errors} of 100 documents .* are errors"):
            totals.check(budget)
    else:
        totals.check(budget)


def damage(file="a.gz", errors=1):
    return Damage(file, "lost_tail", errors, 10**9)


def test_damage_makes_a_run_partial_whatever_the_budget():
    """One row may stand for gigabytes."""
    totals = totals_of([receipt(keep=999, errors=1, damage=[damage()])])
    assert "1 input file(s) are damaged" in totals.fault(1.0)
    with pytest.raises(PartialRunError, match="`expected_damage`"):
        totals.check(1.0)


def test_expected_damage_is_no_fault_and_costs_no_budget():
    """The manifest knows of it; other errors still count."""
    known = {"web": ["a.*"]}
    damaged = receipt(keep=7, errors=3, damage=[damage(errors=3)])
    assert totals_of([damaged], known).fault(0.0) is None
    one_more = totals_of([receipt(keep=6, errors=4, damage=[damage(errors=3)])], known)
    assert "1 of 10 documents (10.00%) are errors" in one_more.fault(0.05)


@pytest.mark.parametrize(
    ("expected", "known"),
    [
        ({"web": ["a.gz"]}, True),
        ({"web": ["b.gz", "**/*.gz"]}, True),
        ({"web": ["b.gz"]}, False),
        ({"web": []}, False),
        ({"books": ["a.gz"]}, False),
        ({}, False),
    ],
)
def test_damage_is_expected_by_glob_and_corpus(expected, known):
    """A file of the same name in another corpus is another file."""
    (found,) = totals_of([receipt(errors=1, damage=[damage()])], expected).damage
    assert (found.file, found.corpus, found.expected) == ("a.gz", "web", known)
    assert (found.error_type, found.errors, found.bytes) == ("lost_tail", 1, 10**9)


def test_each_damaged_file_is_named_once_and_five_at_most():
    """A message stays readable."""
    many = [damage(f"{number}.gz") for number in range(7)] + [damage("0.gz"), damage("x")]
    fault = totals_of([receipt(errors=9, damage=many)], {"web": ["x"]}).fault(1.0)
    assert "7 input file(s)" in fault
    assert "0.gz, 1.gz, 2.gz, 3.gz, 4.gz." in fault
    assert "5.gz" not in fault


def test_a_partial_run_ends_with_exit_code_three():
    """And a broken contract with four: what scripts go by."""
    assert (PartialRunError.exit_code, ContractError.exit_code) == (3, 4)


def test_totals_are_json():
    """For `_rai/totals.json` and `--json`, with sorted keys."""
    totals = totals_of([receipt(keep=3, damage=[damage()], tables={"rule": {"keep": 3}})])
    assert orjson.loads(totals.to_json()) == orjson.loads(orjson.dumps(totals.to_plain()))
    assert orjson.loads(totals.to_json())["damage"][0]["file"] == "a.gz"
    assert totals.to_json() == totals.to_json()
