"""What one sentence of a policy says: its modality, and the stretches that are its parts.

There is no parser behind it: a modal counts where it stands in the main clause, which is what is
left beside the stretches that markers of conditions, exceptions and reasons open.
"""

import re

from raicurate.transforms.clause import DEONTIC
from raicurate.transforms.clause_definitions import definition_fields
from raicurate.transforms.clause_packs import ClausePack, Marker, Modal
from raicurate.transforms.clause_stretch import (
    COMMAS,
    Bounds,
    Fields,
    Stretch,
    is_question,
    quantity_in,
    trim,
)
from raicurate.transforms.phrases import Found, PhraseFinder

# How far before or after its modal the one addressed may stand.
_AGENT_CHARS = 80
_NEAR_WORDS = 3
_LABEL_END = re.compile(r"[ ]?[:：]")
# Words that may stand between a comma and the subordinate clause after it.
_CONJOINED = frozenset(
    {"und", "oder", "auch", "nur", "außer", "insbesondere", "aber", "jedoch", "selbst"}
)
# What may follow the verb at the end of a sentence: a full stop, quotation marks.
_CLOSING_CHARS = 4
_PARTICLES = "はがも"
_CLAUSE_END = re.compile(r"\s*(?:[,.;:!)–—]|$)")
# In Japanese, nouns begin with Chinese characters or katakana, endings of verbs do not.
_NOUN = re.compile(r"(?<=[るいた])(?:[\u4e00-\u9fff\u30a1-\u30fa]|こと|もの)")
_MONTH = re.compile(r"(?:\d{1,2} )?[Mm]ay(?: \d|,? \d{4})")


def stated_fields(pack: ClausePack, stretch: Stretch, title: str) -> Fields | None:
    """Returns what a sentence says with words of its own, or None where it is no clause.

    Args:
        pack: The words of its language.
        stretch: The sentence.
        title: The title above it, in lower case.
    """
    if is_question(stretch):
        return None
    return (
        _labelled(pack, stretch) or definition_fields(pack, stretch, title) or _ruled(pack, stretch)
    )


def _labelled(pack: ClausePack, stretch: Stretch) -> Fields | None:
    """Returns the fields of a sentence that begins with a word for what it is, and a colon."""
    label = pack.labels.at(stretch.lower, stretch.start, stretch.end)
    if label is None:
        return None
    colon = _LABEL_END.match(stretch.lower, label.end, stretch.end)
    content = None if colon is None else trim(stretch.lower, colon.end(), stretch.end)
    if content is None:
        return None
    return Fields(label.value, action=content, quantity=quantity_in(pack, stretch))


def inherited_fields(pack: ClausePack, stretch: Stretch, lead: Fields) -> Fields:
    """Returns what an item says that completes the sentence before its list."""
    parts = _Parts(pack, stretch, stretch.start, stretch.start)
    return Fields(
        lead.modality,
        negated=lead.negated,
        restricted=lead.restricted,
        action=parts.after,
        condition=parts.kinds.get("condition"),
        exception=parts.kinds.get("exception"),
        rationale=parts.kinds.get("reason"),
        quantity=quantity_in(pack, stretch),
    )


def _ruled(pack: ClausePack, stretch: Stretch) -> Fields | None:
    """Returns the fields of a sentence with a modal in its main clause."""
    hits = list(pack.modals.find(stretch.lower, *stretch.bounds))
    if not hits:
        return None
    excluded = list(pack.not_modal.find(stretch.lower, *stretch.bounds))
    for hit in hits:
        if any(other.start < hit.end and hit.start < other.end for other in excluded):
            continue
        if pack.file.subject_after_modal and _opens_condition(stretch, hit):
            continue
        if not pack.spaces and _before_noun(stretch, hit):
            continue
        if pack.file.comma_before_clause and _closes_clause(stretch, hit):
            continue
        parts = _Parts(pack, stretch, hit.start, hit.end)
        if parts.subordinate:
            continue
        agent = parts.agent()
        if hit.value.strength == "with_agent" and agent is None:
            continue
        if hit.value.strength == "with_person" and not (
            parts.person() is not None or (pack.file.pro_drop and parts.opens())
        ):
            continue
        if _MONTH.match(stretch.text, max(hit.start - 3, stretch.start)):
            continue
        return _with_parts(pack, stretch, hit, parts, agent)
    return None


def _opens_condition(stretch: Stretch, hit: Found[Modal]) -> bool:
    """Returns whether a modal opens the sentence: "Sollte etwas fehlen, ..." is a condition."""
    opens = hit.start == stretch.start and stretch.text[hit.start].isupper()
    return opens and hit.value.modality in DEONTIC and "," in stretch.lower[hit.end : stretch.end]


def _before_noun(stretch: Stretch, hit: Found[Modal]) -> bool:
    """Returns whether a modal stands before a noun: "必要がある人" is part of a relative clause."""
    return _NOUN.match(stretch.lower, hit.end, stretch.end) is not None


def _closes_clause(stretch: Stretch, hit: Found[Modal]) -> bool:
    """Returns whether a modal of one word ends its clause, as in a German subordinate clause."""
    alone = hit.gap is None and " " not in stretch.lower[hit.start : hit.end].rstrip()
    return alone and _CLAUSE_END.match(stretch.lower, hit.end, stretch.end) is not None


def _with_parts(
    pack: ClausePack, stretch: Stretch, hit: Found[Modal], parts: "_Parts", agent: Bounds | None
) -> Fields:
    modality, strength = hit.value
    subject = parts.before
    action = parts.after
    modal, negation = (hit.start, hit.end), None
    negated = strength == "negated" or modality == "prohibition"
    if hit.gap is not None and (negated or strength == "restricted" or action is None):
        # "darf [den Dienst] nicht nutzen": what stands in between belongs to the action.
        modal = (hit.start, hit.gap[0] - pack.spaces)
        negation = (hit.gap[1] + pack.spaces, hit.end) if negated else None
        action = (hit.gap[0], action[1] if action else hit.end)
    if pack.file.verb_final and subject is not None:
        actor, action = parts.verb_final(agent)
        acted_on = None
    else:
        passive = action is not None and _passive(pack, stretch.lower, action)
        acted_on = subject if passive else None
        actor = None if passive or strength == "imposed" else agent
        if actor is not None and subject is not None and subject[0] <= actor[0] < subject[1]:
            actor = subject
    return Fields(
        modality,
        negated=negated,
        restricted=strength == "restricted",
        actor=actor if modality in DEONTIC else None,
        modal=modal,
        negation=negation,
        action=action,
        object=acted_on,
        condition=parts.kinds.get("condition"),
        exception=parts.kinds.get("exception"),
        rationale=parts.kinds.get("reason"),
        quantity=quantity_in(pack, stretch),
    )


def _passive(pack: ClausePack, lower: str, action: Bounds) -> bool:
    """Returns whether what follows the modal is done to its subject."""
    # German puts the verb last, the others next to the modal.
    reach = action[1] if pack.file.subject_after_modal else min(action[0] + 20, action[1])
    return pack.passives.first(lower, action[0], reach) is not None


def imperative_fields(pack: ClausePack, stretch: Stretch) -> Fields | None:
    """Returns what a sentence says that tells to do something in the imperative, or None."""
    if not pack.imperatives or is_question(stretch):
        return None
    lower = stretch.lower
    if pack.file.verb_final:
        hits = list(pack.imperatives.find(lower, *stretch.bounds))
        if not hits or stretch.end - hits[-1].end > _CLOSING_CHARS:
            return None
        hit = hits[-1]
        if pack.not_modal.first(lower, hit.start, stretch.end) is not None:
            return None
        parts = _Parts(pack, stretch, hit.start, hit.end)
        _, action = parts.verb_final(None)
    else:
        start = _after_openers(pack, lower, stretch.start, stretch.end)
        begins = pack.imperatives.at(lower, start, stretch.end)
        marker = pack.markers.at(lower, stretch.start, stretch.end)
        opened = marker is not None and marker.value.side == "before"
        while opened and begins is None:
            # "If in doubt, ask."
            comma = _first_comma(lower, start, stretch.end)
            if comma is None:
                break
            start = _after_openers(pack, lower, comma + 1, stretch.end)
            begins = pack.imperatives.at(lower, start, stretch.end)
        if begins is None or pack.not_modal.at(lower, start, stretch.end):
            return None
        if pack.not_after_imperative.at(lower, begins.end + 1, stretch.end):
            return None
        hit = begins
        # "Do not share": the action is "share"; "Share": it is the verb itself.
        parts = _Parts(pack, stretch, start, hit.end if hit.value == "prohibition" else start)
        action = parts.after
    return Fields(
        hit.value,
        negated=hit.value == "prohibition",
        modal=(hit.start, hit.end),
        action=action,
        condition=parts.kinds.get("condition"),
        exception=parts.kinds.get("exception"),
        rationale=parts.kinds.get("reason"),
        quantity=quantity_in(pack, stretch),
    )


def _after_openers(pack: ClausePack, lower: str, start: int, end: int) -> int:
    """Returns where a sentence goes on after "please" and the like."""
    while True:
        while start < end and not lower[start].isalnum():
            start += 1
        opener = pack.openers.at(lower, start, end)
        if opener is None:
            return start
        start = opener.end


class _Parts:
    """A sentence around its modal: subordinate stretches, and what is left before and after.

    Attributes:
        kinds: The first condition, exception and reason.
        subordinate: Whether the modal itself stands in a subordinate clause.
        before: The main clause before the modal.
        after: The main clause after the modal.
    """

    def __init__(self, pack: ClausePack, stretch: Stretch, start: int, end: int) -> None:
        self.pack = pack
        self.stretch = stretch
        self.modal = (start, end)
        self.kinds: dict[str, Bounds] = {}
        self.subordinate = False
        self.main_start = stretch.start
        self.after: Bounds | None = None
        markers = [
            hit
            for hit in pack.markers.find(stretch.lower, *stretch.bounds)
            if (hit.end <= start or hit.start >= end) and self._opens(hit)
        ]
        self._before_modal([hit for hit in markers if hit.end <= start])
        self._after_modal([hit for hit in markers if hit.start >= end])
        self.before = trim(stretch.lower, self.main_start, start)
        self.subordinate = self.subordinate or self._relative()

    def _opens(self, marker: Found[Marker]) -> bool:
        """Returns whether a marker stands where a subordinate clause can begin."""
        if not self.pack.file.comma_before_clause or marker.value.side == "after":
            return True
        before = self.stretch.lower[self.stretch.start : marker.start].rstrip()
        return (
            not before
            or before.endswith((*COMMAS, "(", "–", "—"))
            or (before.rpartition(" ")[2] in _CONJOINED)
        )

    def _before_modal(self, markers: list[Found[Marker]]) -> None:
        lower, (start, _) = self.stretch.lower, self.modal
        for hit in markers:
            kind, side = hit.value
            if side == "after":
                begin = max(_last_comma(lower, self.main_start, hit.start), self.main_start)
                self._keep(kind, begin, hit.end)
                self.main_start = max(self.main_start, hit.end)
                continue
            comma = max(_last_comma(lower, hit.end, start), lower.rfind(")", hit.end, start))
            if comma < 0:
                # The clause that it opens holds the modal.
                self.subordinate = kind != "reason" or hit.start > self.stretch.start
                return
            self._keep(kind, hit.start, comma)
            if hit.start <= self.main_start + 1:
                self.main_start = comma + 1

    def _after_modal(self, markers: list[Found[Marker]]) -> None:
        lower, (_, end) = self.stretch.lower, self.modal
        stop = self.stretch.end
        action_end = stop
        for number, hit in enumerate(markers):
            kind, side = hit.value
            if side == "after":
                begin = max(_last_comma(lower, end, hit.start), end)
                self._keep(kind, begin, hit.end)
                continue
            # "if A or if B" is one condition.
            following = next(
                (other.start for other in markers[number + 1 :] if other.value.kind != kind), stop
            )
            semicolon = lower.find(";", hit.end, following)
            self._keep(kind, hit.start, following if semicolon < 0 else semicolon)
            action_end = min(action_end, hit.start)
        self.after = trim(lower, end, action_end)

    def _keep(self, kind: str, start: int, end: int) -> None:
        bounds = trim(self.stretch.lower, start, end)
        if bounds is not None:
            self.kinds.setdefault(kind, bounds)

    def _relative(self) -> bool:
        """Returns whether the modal stands in a relative clause."""
        pack, lower, start = self.pack, self.stretch.lower, self.modal[0]
        begin = max(_last_comma(lower, self.main_start, start) + 1, self.main_start)
        if lower.rfind("(", self.main_start, begin) > lower.rfind(")", self.main_start, begin):
            # "depending on X (and on Y, which Z) you may": the comma stands within parentheses.
            begin = max(lower.find(")", begin, start) + 1, begin)
        hits = list(pack.relatives.find(lower, begin, start))
        if not hits:
            return False
        if pack.not_relative.first(lower, begin, start) is not None:
            return False
        opens = not lower[begin : hits[0].start].strip()
        if opens and begin > self.main_start:
            return True
        if pack.file.comma_before_clause:
            return False
        # "who must", "that you must"; but not "who confirms must".
        between = trim(lower, hits[-1].end, start)
        if between is None:
            return True
        agents = list(pack.agents.find(lower, *between))
        return (
            bool(agents)
            and agents[-1].end == between[1]
            and lower.count(" ", *between) < _NEAR_WORDS
        )

    def opens(self) -> bool:
        """Returns whether the modal opens the main clause, beside words like "also"."""
        lower, (start, _) = self.stretch.lower, self.modal
        return _after_openers(self.pack, lower, self.main_start, start) == start

    def agent(self) -> Bounds | None:
        """Returns who is addressed: named in the main clause, near the modal."""
        return self._named(self.pack.agents)

    def person(self) -> Bounds | None:
        """Returns the reader, author or user that is the subject of the main clause."""
        found = self._named(self.pack.persons)
        if found is None or found[0] >= self.modal[0] or self.pack.file.verb_final:
            return found
        lower = self.stretch.lower
        begin = max(_last_comma(lower, self.main_start, self.modal[0]) + 1, self.main_start)
        near = lower.count(" ", found[1], self.modal[0]) <= _NEAR_WORDS
        first = lower.count(" ", begin, found[0]) <= _NEAR_WORDS
        return found if near or first else None

    def _named(self, names: PhraseFinder[None]) -> Bounds | None:
        lower, (start, end) = self.stretch.lower, self.modal
        found = list(names.find(lower, max(self.main_start, start - _AGENT_CHARS), start))
        if found:
            return found[-1].start, found[-1].end
        if self.pack.file.subject_after_modal:
            near = names.first(lower, end, min(end + 40, self.stretch.end))
            if near is not None and lower.count(" ", end, near.start) <= _NEAR_WORDS:
                return near.start, near.end
        return None

    def verb_final(self, agent: Bounds | None) -> tuple[Bounds | None, Bounds | None]:
        """Returns actor and action of a sentence whose verb stands at its end."""
        lower, (start, _) = self.stretch.lower, self.modal
        if agent is None:
            return None, trim(lower, self.main_start, start)
        if lower[agent[1] - 1] in _PARTICLES and agent[1] - agent[0] > 1:
            # "組織は": the particle is no part of the name.
            return (agent[0], agent[1] - 1), trim(lower, agent[1], start)
        return agent, trim(lower, agent[1], start) or trim(lower, self.main_start, start)


def _first_comma(lower: str, start: int, end: int) -> int | None:
    places = [at for mark in COMMAS if (at := lower.find(mark, start, end)) >= 0]
    return min(places, default=None)


def _last_comma(lower: str, start: int, end: int) -> int:
    return max(lower.rfind(mark, start, end) for mark in COMMAS)
