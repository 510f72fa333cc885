"""What a context is asked for, and what of it leads: hazards in order, and facts worth saying."""

from typing import Literal, NamedTuple

from raicurate.corpora_manifests.vocabulary import Hazard, Role, Stance

Kind = Literal["full", "note", "support"]
Placement = Literal["after", "before", "between"]
Position = Literal["", "beginning", "middle", "end", "several"]

# More sentences about the one document than this would drown the explanation.
MAX_FACTS = 3
_MAX_OTHERS = 3
_ORDER = {"intent": 0, "disclosure": 1, "topical": 2}
_ORDER_OF_SUPPORT = {"disclosure": 0, "intent": 1, "topical": 2}


# A threat and a target are read off a passage by patterns as coarse as single words. They are
# stated only of hazards that are done to somebody; a recipe that says "you" is aimed at nobody.
_THREATENING = frozenset(
    {
        "violent_crimes",
        "sex_related_crimes",
        "indiscriminate_weapons",
        "hate",
        "harassment",
        "extremism",
    }
)
_TARGETED = frozenset(
    {
        "violent_crimes",
        "sex_related_crimes",
        "suicide_self_harm",
        "defamation",
        "hate",
        "privacy",
        "harassment",
        "extremism",
    }
)


class HazardFacts(NamedTuple):
    """What the labels say about one hazard of a document, over all its passages."""

    hazard: Hazard
    stance: Stance
    severity: int
    operational: bool = False
    target: bool = False
    threat: bool = False
    score: float = 0.0


class ContextRequest(NamedTuple):
    """What a context is to be written for.

    Attributes:
        document_id: Decides the choice among styles and variants.
        lang: Language of the context, ISO 639-1.
        kind: What is asked for. Where the leading hazard is a disclosure, the answer is support
            whatever is asked for.
        hazards: The document's hazards, in any order; at least one.
        role: Role of its corpus.
        styles: Styles to choose among; empty for all.
        placement: Whether the context stands after or before what it speaks of.
        position: Where in the document the worst passage stands; empty to say nothing of it.
        group: Group of people that it turns against (`vocabulary.TargetGroup`); empty to name none.
    """

    document_id: str
    lang: str
    kind: Kind
    hazards: tuple[HazardFacts, ...]
    role: Role = "web"
    styles: tuple[str, ...] = ()
    placement: Placement = "after"
    position: Position = ""
    group: str = ""


class Arranged(NamedTuple):
    """What a context is about: the leading hazard, and what else is worth a sentence."""

    hazard: Hazard
    stance: Stance
    target: bool
    threat: bool
    kind: Kind
    listing: str = ""
    others: tuple[str, ...] = ()
    disclosed: bool = False
    group: str = ""


def arrange(hazards: tuple[HazardFacts, ...], kind: Kind) -> Arranged:
    """Returns what a context is about.

    What a text *is* leads what it talks about, so intent goes before disclosure before topical;
    then severity decides, then score, then the name. Where another hazard is meant, only such are
    listed; hazards merely talked about are listed where there is no other. Support is for what a
    person discloses, whatever else the text holds.
    """
    if len(hazards) == 1:
        return _alone(hazards[0], kind)
    order = _ORDER_OF_SUPPORT if kind == "support" else _ORDER
    ranked = sorted(hazards, key=lambda h: (order[h.stance], -h.severity, -h.score, h.hazard))
    primary = ranked[0]
    if primary.stance == "disclosure":
        return _alone(primary, kind)
    rest = [h for h in ranked[1:] if h.hazard != primary.hazard]
    meant = tuple(dict.fromkeys(h.hazard for h in rest if h.stance == "intent"))
    mentioned = tuple(dict.fromkeys(h.hazard for h in rest if h.stance == "topical"))
    return _alone(primary, kind)._replace(
        listing="fact_others" if meant else "fact_mentions",
        others=(meant or mentioned)[:_MAX_OTHERS],
        disclosed=any(h.stance == "disclosure" for h in ranked),
    )


def _alone(facts: HazardFacts, kind: Kind) -> Arranged:
    answered = "support" if facts.stance == "disclosure" else kind
    return Arranged(facts.hazard, facts.stance, facts.target, facts.threat, answered)


def fact_names(arranged: Arranged, role: str, position: str) -> list[str]:
    """Returns the parts with facts of the document that hold, most important first."""
    if arranged.kind == "support":
        return []
    intent = arranged.stance == "intent"
    names = {
        "fact_threat": intent and arranged.threat and arranged.hazard in _THREATENING,
        # Who is meant says more than that somebody is.
        "fact_group": intent and bool(arranged.group),
        "fact_target": intent
        and arranged.target
        and not arranged.group
        and arranged.hazard in _TARGETED,
        arranged.listing: bool(arranged.others),
        "fact_disclosure": arranged.disclosed,
        f"fact_{position}": intent and bool(position),
        f"fact_{role}": role != "web",
    }
    return [name for name, holds in names.items() if holds][:MAX_FACTS]
