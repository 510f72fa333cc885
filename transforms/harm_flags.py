"""What the gravity of a hazard depends on, read off a passage by patterns.

Patterns are coarse on purpose and never a verdict: they only say how grave a hazard is that the
models found.
"""

import re
from typing import NamedTuple


class Flags(NamedTuple):
    """What a passage holds.

    Attributes:
        operational: Method, dose, quantity, exploit or contact.
        target: It is directed at a person or group.
        threat: It announces or calls for harm.
    """

    operational: bool
    target: bool
    threat: bool


_OPERATIONAL = re.compile(
    r"\b\d+(?:[.,]\d+)?\s?(?:mg|ml|mcg|grams?|gramm|grammes?|gramos|gramas|kg|litres?|liters?|°c|"
    r"degrees|mol|%)\b"
    r"|\bstep\s?\d|\b(?:first|then|next|finally),? (?:mix|heat|add|attach|connect|insert|pour|cut)"
    r"|\b(?:ingredients|instructions|tutorial|how[- ]to)\b.{0,200}\b\d"
    r"|\b(?:curl|wget|sudo|chmod|nmap|sqlmap|metasploit|payload|shellcode)\b"
    r"|\b(?:telegram|whatsapp|wickr|contact me|dm me)\b.{0,40}(?:@|\+?\d)",
    re.IGNORECASE | re.DOTALL,
)

_TARGET = re.compile(
    r"\b(?:you|your|u r|ur|he|she|they|them|those|these|all|every)\b"
    r"|\b(?:du|dich|ihr|euch|diese|alle|tu|toi|vous|ces|ellos|ellas|esos|esas|todos|todas|usted|"
    r"vosotros|você|voce|vocês|eles|elas|esses|essas)\b"
    r"|[你他她们這这那]|너|니가|그들|놈|년",
    re.IGNORECASE,
)

_THREAT = re.compile(
    r"\b(?:kill|shoot|stab|hang|burn|bomb|beat|hurt|attack|exterminate|lynch|rape|gas|execute)\b"
    r"|\b(?:töten|umbringen|erschießen|vergasen|aufhängen|abknallen|verbrennen|ausrotten)\b"
    r"|\b(?:tuer|tuez|buter|brûler|pendre|exterminer|frapper|matar|matad|mátalos|quemar|colgar|"
    r"exterminar|fusilar|queimar|enforcar|espancar|esfaquear)\b"
    r"|杀|殺|砍死|打死|枪毙|죽여|죽이|때려",
    re.IGNORECASE,
)


def flags_of(passage: str) -> Flags:
    """Returns what a passage holds."""
    return Flags(
        _OPERATIONAL.search(passage) is not None,
        _TARGET.search(passage) is not None,
        _THREAT.search(passage) is not None,
    )
