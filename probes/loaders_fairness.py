"""Loaders of public fairness sets: one row to one item.

A row that lacks a key is left out and counted by `loaders.load_outside`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from raicurate.corpora_manifests.digests import digest
from raicurate.probes.items import ChoiceItem, PairItem, PromptItem
from raicurate.probes.suite import OutsideSet

STEREOTYPE_ROLES = ("stereotype", "anti_stereotype")
DIALECT_ROLES = ("dialect", "standard")
GENDER_ROLES = ("male", "female")

Row = Mapping[str, Any]


def crows_pairs(row: Row, outside: OutsideSet, number: int) -> PairItem | str:
    """CrowS-Pairs (Nangia and others, 2020): two sentences, the more stereotypical one first.

    `sent_more` is the more stereotypical one whatever `direction` says. About half of the pairs are
    noisy (Blodgett and others, 2021), so only differences between checkpoints are read.
    """
    more, less = row["sent_more"], row["sent_less"]
    if more == less:
        return "both versions are the same"
    return PairItem(
        id=str(row.get("id", number)),
        language=language_of(row, outside),
        dimension=outside.dimension or "fairness",
        source=outside.name,
        group=row["bias_type"],
        condition=row.get("direction"),
        versions=(more, less),
        roles=STEREOTYPE_ROLES,
    )


def stereoset(row: Row, outside: OutsideSet, number: int) -> PairItem | str:
    """StereoSet (Nadeem and others, 2021): a stereotype, its opposite, and something unrelated.

    Within a sentence, whole sentences are compared; between sentences, what follows the context.
    """
    after = row["kind"] == "intersentence"
    space = " " if after else ""
    versions = (space + row["stereotype"], space + row["anti_stereotype"])
    if versions[0] == versions[1]:
        return "both versions are the same"
    return PairItem(
        id=str(row.get("id", number)),
        language=language_of(row, outside),
        dimension=outside.dimension or "fairness",
        source=outside.name,
        cluster=row.get("target"),
        group=row["bias_type"],
        condition=row["kind"],
        context=row["context"] if after else "",
        versions=versions,
        roles=STEREOTYPE_ROLES,
        unrelated=space + row["unrelated"],
    )


def dialect_pairs(row: Row, outside: OutsideSet, number: int) -> PairItem | str:
    """A sentence in a dialect of English and in the standard, of the same content."""
    if row["text"] == row["standard"]:
        return "both versions are the same"
    return PairItem(
        id=str(row.get("id", number)),
        language=language_of(row, outside),
        dimension=outside.dimension or "fairness",
        source=outside.name,
        cluster=str(row["feature_id"]),
        group=row["feature"],
        versions=(row["text"], row["standard"]),
        roles=DIALECT_ROLES,
    )


def bbq(row: Row, outside: OutsideSet, number: int) -> ChoiceItem | str:
    """BBQ (Parrish and others, 2022): questions that a context answers, or leaves open.

    `roles` says what each option is: `unknown`, or the answer that follows the stereotype
    (`stereotype`: the stereotyped person in a negative question, the other one otherwise), or not.
    Items of one question template are resampled together.
    """
    stereotyped = {name.casefold() for name in row["stereotyped_groups"]}
    targets = _targets(row["answers"], row["answer_groups"], stereotyped)
    unknown = [group.casefold() == "unknown" for group in row["answer_groups"]]
    if len(targets) != 1 or sum(unknown) != 1:
        return "whom the stereotype is about cannot be told"
    negative = row["question_polarity"] == "neg"
    roles = tuple(
        "unknown"
        if unknown[option]
        else STEREOTYPE_ROLES[0 if (option in targets) == negative else 1]
        for option in range(len(row["answers"]))
    )
    return ChoiceItem(
        id=str(row.get("id", number)),
        language=language_of(row, outside),
        dimension=outside.dimension or "fairness",
        source=outside.name,
        cluster=digest([row["category"], row["question"]])[:16],
        group=row["category"],
        condition={"ambig": "ambiguous", "disambig": "disambiguated"}[row["context_condition"]],
        context=row["context"],
        question=row["question"],
        options=tuple(row["answers"]),
        answer=row["label"],
        roles=roles,
    )


def bold(row: Row, outside: OutsideSet, number: int) -> PromptItem | str:
    """BOLD (Dhamala and others, 2021): beginnings of encyclopedia sentences about people."""
    prompt = row["text"].rstrip()
    reference = str(row.get("wikipedia") or "")
    return PromptItem(
        id=str(row.get("id", number)),
        language=language_of(row, outside),
        dimension=outside.dimension or "fairness",
        source=outside.name,
        cluster=row.get("entity"),
        group=f"{row['domain']}/{row['group']}",
        prompt=prompt,
        reference=reference[len(prompt) :] if reference.startswith(prompt) else None,
    )


def winogender(
    rows: Sequence[Row], outside: OutsideSet, left_out: Counter[str]
) -> Iterator[PairItem]:
    """Winogender (Rudinger and others, 2018): the same sentence with a male and a female pronoun.

    The set has one row a sentence, named `occupation.participant.answer.gender`, where the answer
    says whom the pronoun refers to: 0 is the occupation, 1 the other participant.
    """
    by_sentence: dict[tuple[str, ...], dict[str, str]] = {}
    for row in rows:
        parts = str(row.get("id", "")).removeprefix("winogender-").removesuffix(".txt").split(".")
        if len(parts) != 4 or "text" not in row:
            left_out["lacks what the loader reads"] += 1
            continue
        by_sentence.setdefault(tuple(parts[:3]), {})[parts[3]] = row["text"]
    for (occupation, participant, answer), texts in sorted(by_sentence.items()):
        left_out["a form that is not compared"] += len(texts.keys() - set(GENDER_ROLES))
        if not texts.keys() >= set(GENDER_ROLES):
            left_out["one of the two forms is missing"] += 1
            continue
        yield PairItem(
            id=f"{occupation}.{participant}.{answer}",
            language=outside.language,
            dimension=outside.dimension or "fairness",
            source=outside.name,
            cluster=occupation,
            group=occupation,
            condition="occupation" if answer == "0" else "participant",
            versions=(texts["male"], texts["female"]),
            roles=GENDER_ROLES,
        )


def language_of(row: Row, outside: OutsideSet) -> str:
    """Returns the language of a row, without script or region."""
    return str(row.get("lang") or outside.language).split("-")[0].lower()


def _targets(answers: Sequence[str], groups: Sequence[str], stereotyped: set[str]) -> list[int]:
    """Returns which options name a stereotyped group: by their group, else by their words."""
    by_group = [n for n, group in enumerate(groups) if group.casefold() in stereotyped]
    if by_group:
        return by_group
    return [
        number
        for number, answer in enumerate(answers)
        if any(name in answer.casefold() for name in stereotyped)
    ]
