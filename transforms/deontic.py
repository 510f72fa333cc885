"""What follows from one clause for one case: the truth table of all verdicts.

The verdict holds "under this clause alone". A rule with a condition says nothing about a case in
which the condition is not met: after "if A, must B", a case without A is not covered, which is not
compliance. A case that meets the clause's own exception is covered, and complies. Recommendations
have no violation. Where the clause does not settle the case, there is no verdict, and so there is
no exercise.

The distinctions are those of standard deontic logic with conditional norms: G. H. von Wright,
"Deontic Logic", Mind 60 (1951); for conditions and exceptions: L. Åqvist, "Deontic Logic", Handbook
of Philosophical Logic (1984). Levels of obligation follow RFC 2119.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from raicurate.transforms.clause import Modality

Verdict = Literal["violates", "complies", "not_covered"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


@dataclass(frozen=True, slots=True)
class Case:
    """What is known of a case, as far as a clause asks for it.

    Attributes:
        performed: Whether the act that the clause names is performed; else it is left undone.
        condition: Whether the clause's condition is met; None where it has none.
        exception: Whether the clause's exception is met; None where it has none.
        in_scope: Whether the one who acts is among those whom the clause addresses.
        same_act: Whether the case is about the act that the clause names.
        within_limit: Whether a performed act keeps the clause's deadline or quantity.
    """

    performed: bool
    condition: bool | None = None
    exception: bool | None = None
    in_scope: bool = True
    same_act: bool = True
    within_limit: bool = True


def verdict(
    modality: Modality, case: Case, *, negated: bool = False, only_if: bool = False
) -> Verdict | None:
    """Returns the verdict of a clause on a case, or None where the clause does not settle it.

    Args:
        modality: What kind of clause it is.
        case: What is known.
        negated: Whether the modal is negated; a negated permission ("need not") permits the
            omission, a negated recommendation ("should not") advises against the act.
        only_if: Whether a permission is given on its condition alone ("may only if").
    """
    if modality not in {"obligation", "prohibition", "permission", "recommendation"}:
        return None
    if not case.same_act or not case.in_scope:
        return "not_covered"
    if case.condition is False:
        if modality == "permission" and only_if and not negated:
            return "violates" if case.performed else "complies"
        return "not_covered"
    if modality == "permission":
        return _permission(case)
    if case.exception is True:
        return None if modality == "recommendation" else "complies"
    if modality == "recommendation":
        return "complies" if case.performed is not negated and case.within_limit else None
    if modality == "obligation":
        return "complies" if case.performed and case.within_limit else "violates"
    # Whether a limit inside a prohibition widens or narrows it depends on its wording.
    if not case.within_limit:
        return None
    return "violates" if case.performed else "complies"


def _permission(case: Case) -> Verdict | None:
    """A permission is not broken by leaving it unused; what lies beyond it is not settled."""
    if not case.performed:
        return "complies"
    if case.exception is True or not case.within_limit:
        return None
    return "complies"
