"""Deals clauses to three arms, before anything is made of them.

*Taught*: exercises are made of it. *Read only*: its document is in the data, but the clause is in
no exercise, reading passage or distractor. *Unseen*: its document is nowhere in the output.
Whole families of translations are unseen together, and whatever says the same, in another document
or in another language, is on the same side.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from raicurate.exercise_templates.context_files import hash64
from raicurate.transforms.clause import Clause
from raicurate.transforms.document_families import Shape, families, shape_of
from raicurate.transforms.grouping import Groups
from raicurate.transforms.near_duplicates import Shingles, near_duplicates, shingles
from raicurate.transforms.policy_document import PolicyDocument

Arm = Literal["taught", "read_only", "unseen"]

# Fewer shingles say too little for two clauses to be called the same: "You must agree."
_MIN_SHINGLES = 4


@dataclass(frozen=True, slots=True)
class ArmShares:
    """How much is held out.

    Attributes:
        read_only: Share of the clauses of the documents that are in the data.
        unseen: Share of the families of documents.
        seed: Another seed deals otherwise.
    """

    read_only: float = 0.1
    unseen: float = 0.1
    seed: str = ""


@dataclass(frozen=True, slots=True)
class ClauseSignature:
    """What is needed of a clause to deal it.

    Attributes:
        id: Its id.
        heading: Number of the heading under which it stands.
        block: Number of its block under that heading.
        shingles: What its words, with those that introduce it, are compared by.
    """

    id: str
    heading: int
    block: int
    shingles: Shingles


@dataclass(frozen=True, slots=True)
class DocumentSignature:
    """What is needed of a document to deal its clauses: no text."""

    shape: Shape
    clauses: tuple[ClauseSignature, ...]


@dataclass(frozen=True, slots=True)
class Arms:
    """Where everything was dealt.

    Attributes:
        family: Family of each document.
        unseen: Documents that appear nowhere in the output.
        read_only: Pairs of document and clause that are in no exercise.
        counts: How many there are: documents, families, clauses, by arm.
    """

    family: dict[str, str]
    unseen: frozenset[str]
    read_only: frozenset[tuple[str, str]]
    counts: dict[str, int]

    def arm(self, document: str, clause: str) -> Arm:
        """Returns the arm of a clause."""
        if document in self.unseen:
            return "unseen"
        return "read_only" if (document, clause) in self.read_only else "taught"


def sign(
    document: PolicyDocument,
    clauses: Sequence[Clause],
    path: str | None = None,
    declared: str | None = None,
    spaces: bool = True,
) -> DocumentSignature:
    """Returns the signature of a document.

    Args:
        document: The document.
        clauses: Its clauses.
        path: Its file, within its corpus.
        declared: The family that its corpus names.
        spaces: Whether its language puts spaces between words.
    """
    place: dict[int, tuple[int, int]] = {}
    number = 0
    for index, block in enumerate(document.blocks):
        begins = index == 0 or document.blocks[index - 1].section != block.section
        number = 0 if begins else number + 1
        place[block.span.start] = (block.section, number)
    starts = sorted(place)
    return DocumentSignature(
        shape_of(document, path, declared),
        tuple(
            ClauseSignature(
                clause.id,
                *place[_last_before(starts, clause.span.start)],
                shingles(_words(document, clause), spaces),
            )
            for clause in clauses
        ),
    )


def deal_arms(documents: Iterable[DocumentSignature], shares: ArmShares | None = None) -> Arms:
    """Deals all clauses of a corpus.

    A group is dealt by a digest of its least member, so that documents that come or go move no
    others but those that say the same. A group that alone is larger than the share that is to be
    held out is taught, since it could not be held out without taking much more than that.
    """
    shares = shares or ArmShares()
    signed = sorted(documents, key=lambda document: document.shape.document)
    family = families([document.shape for document in signed])
    flat = [(document, clause) for document in signed for clause in document.clauses]
    same = [
        (flat[one], flat[other])
        for one, other in near_duplicates([clause.shingles for _, clause in flat])
        if min(flat[one][1].shingles.size, flat[other][1].shingles.size) >= _MIN_SHINGLES
        or flat[one][1].shingles.size == flat[other][1].shingles.size == 1
    ]
    unseen = _unseen(signed, family, same, shares)
    read_only = _read_only(signed, family, same, unseen, shares)
    held = sum(len(d.clauses) for d in signed if d.shape.document in unseen)
    return Arms(
        family,
        unseen,
        read_only,
        {
            "documents": len(signed),
            "families": len(set(family.values())),
            "unseen_documents": len(unseen),
            "unseen_families": len({family[name] for name in unseen}),
            "clauses": len(flat),
            "taught": len(flat) - held - len(read_only),
            "read_only": len(read_only),
            "unseen": held,
        },
    )


Located = tuple[DocumentSignature, ClauseSignature]


def _unseen(
    signed: Sequence[DocumentSignature],
    family: dict[str, str],
    same: Sequence[tuple[Located, Located]],
    shares: ArmShares,
) -> frozenset[str]:
    """Returns the documents that are held out: families, with those that say the same."""
    groups = Groups(family.values())
    for (one, _), (other, _) in same:
        groups.join(family[one.shape.document], family[other.shape.document])
    of_families = Counter(groups.find(name) for name in set(family.values()))
    of_documents = Counter(groups.find(name) for name in family.values())
    held = _dealt(of_families, shares.unseen, shares.seed, "unseen") & _dealt(
        of_documents, shares.unseen, shares.seed, "unseen"
    )
    return frozenset(
        document.shape.document
        for document in signed
        if groups.find(family[document.shape.document]) in held
    )


def _read_only(
    signed: Sequence[DocumentSignature],
    family: dict[str, str],
    same: Sequence[tuple[Located, Located]],
    unseen: frozenset[str],
    shares: ArmShares,
) -> frozenset[tuple[str, str]]:
    """Returns the clauses that are read, but in no exercise."""
    seen = [document for document in signed if document.shape.document not in unseen]
    places = _places(seen, family)
    groups = Groups(places.values())
    for (one, first), (other, second) in same:
        if one.shape.document not in unseen:
            groups.join(
                places[one.shape.document, first.id], places[other.shape.document, second.id]
            )
    size = Counter(groups.find(place) for place in places.values())
    held = _dealt(size, shares.read_only, shares.seed, "read_only")
    return frozenset(key for key, place in places.items() if groups.find(place) in held)


def _places(
    documents: Sequence[DocumentSignature], family: dict[str, str]
) -> dict[tuple[str, str], str]:
    """Returns for each clause a name of its place, the same in all translations of a document.

    Translations are laid side by side as finely as all of them agree: by block where they have the
    same blocks, by heading where they have the same headings, else as a whole.
    """
    members: dict[str, list[DocumentSignature]] = {}
    for document in documents:
        members.setdefault(family[document.shape.document], []).append(document)
    places: dict[tuple[str, str], str] = {}
    for name, translations in members.items():
        alone = len(translations) == 1
        blocks = len({document.shape.blocks for document in translations}) == 1
        headings = len({document.shape.headings for document in translations}) == 1
        for document in translations:
            for clause in document.clauses:
                place = name
                if alone:
                    place = f"{name}\0{clause.id}"
                elif blocks:
                    place = f"{name}\0{clause.heading}\0{clause.block}"
                elif headings:
                    place = f"{name}\0{clause.heading}"
                places[document.shape.document, clause.id] = place
    return places


def _dealt(size: Counter[str], share: float, seed: str, arm: Arm) -> frozenset[str]:
    """Returns the groups that are held out, by a digest of their name and no other's."""
    most = max(1.0, share * size.total())
    return frozenset(
        name
        for name, count in size.items()
        if count <= most and hash64(f"{seed}\0{arm}\0{name}") / 2.0**64 < share
    )


def _words(document: PolicyDocument, clause: Clause) -> str:
    words = document.words(clause.span)
    return words if clause.lead is None else f"{document.words(clause.lead)} {words}"


def _last_before(starts: Sequence[int], place: int) -> int:
    return starts[bisect_right(starts, place) - 1]
