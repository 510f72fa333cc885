"""Groups of things that belong together (disjoint sets)."""

from collections.abc import Hashable, Iterable


class Groups:
    """Disjoint sets of names. The outcome does not depend on the order of joining."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._parent: dict[str, str] = {name: name for name in names}

    def find(self, name: str) -> str:
        """Returns the least name of the group of `name`, which is added if it is new."""
        parent = self._parent.setdefault(name, name)
        while parent != self._parent[parent]:
            self._parent[parent] = self._parent[self._parent[parent]]
            parent = self._parent[parent]
        self._parent[name] = parent
        return parent

    def join(self, one: str, other: str) -> None:
        """Puts two names, and all that belong with them, into one group."""
        first, second = sorted((self.find(one), self.find(other)))
        self._parent[second] = first

    def join_equal(self, pairs: Iterable[tuple[Hashable | None, str]]) -> None:
        """Joins the names that have the same key; a key that is None joins nothing."""
        first: dict[Hashable, str] = {}
        for key, name in pairs:
            if key is not None:
                self.join(first.setdefault(key, name), name)

    def least(self) -> dict[str, str]:
        """Returns for each name the least one of its group."""
        return {name: self.find(name) for name in self._parent}
