"""What a model says of wordings that recur: each is asked about once, or was cleared beforehand.

A context from templates is assembled anew for almost every document, but of the same wordings.
"""

import hashlib
from collections.abc import Callable, Container, Iterable, Sequence

Objects = Callable[[Sequence[str], str], Sequence[bool]]
"""Returns for each wording in a language whether a model objects to it."""

_CACHE_SIZE = 200_000


class PieceVerdicts:
    """The verdicts of one model.

    Args:
        objects: Asks the model.
        cleared: Digests (`piece_digest`) of wordings to which it is known not to object.
    """

    def __init__(self, objects: Objects, cleared: Container[bytes] = frozenset()) -> None:
        self._objects = objects
        self._cleared = cleared
        self._fine: dict[str, set[str]] = {}
        self._objected: dict[str, set[str]] = {}

    def learn(self, lang: str, pieces: Iterable[Sequence[str]]) -> None:
        """Asks about the wordings of some documents in a language, as far as they are new."""
        fine = self._fine.setdefault(lang, set())
        objected = self._objected.setdefault(lang, set())
        if len(fine) + len(objected) > _CACHE_SIZE:
            fine.clear()
            objected.clear()
        unknown: dict[str, None] = {}
        for found in pieces:
            if not fine.issuperset(found):
                unknown.update(dict.fromkeys(found))
        ask = []
        for piece in unknown:
            if piece in fine or piece in objected:
                continue
            if piece_digest(lang, piece) in self._cleared:
                fine.add(piece)
            else:
                ask.append(piece)
        if ask:
            for piece, objects in zip(ask, self._objects(ask, lang), strict=True):
                (objected if objects else fine).add(piece)

    def clear(self, lang: str, pieces: Sequence[str]) -> bool:
        """Whether the model objects to none of the wordings, which were learned before."""
        return self._fine[lang].issuperset(pieces)


def piece_digest(lang: str, piece: str) -> bytes:
    """Returns the digest of a wording in a language, of 8 bytes."""
    return hashlib.blake2b(f"{lang}\0{piece}".encode(), digest_size=8).digest()
