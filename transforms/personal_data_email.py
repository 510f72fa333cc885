"""Email addresses: at signs with a name before them and a delegated top-level domain after them.

Not found on purpose: the logins of `git@host:path` and of URLs, handles, and placeholders such as
`user@example.com`. An address at `example.com` with any other name is found, since synthetic data
about persons is made of them. Not found although personal: obfuscated addresses.
"""

import re
import string
from collections.abc import Iterator

import numpy as np

from raicurate.transforms.personal_data_column import Hit, Utf8Column, windows_around

_MARGIN = 320  # bytes: 64 before the at sign and 255 after it (RFC 5321)

_LETTERS_AND_DIGITS = (string.ascii_letters + string.digits).encode()
_CONTINUATION = bytes(range(0x80, 0xC0))
_LATIN_LEAD = bytes(range(0xC3, 0xCA))  # À to ɏ in UTF-8
_LOCAL_PUNCTUATION = b".!#$%&'*+/=?^_`{|}~-"
_LOCAL = _LETTERS_AND_DIGITS + _LOCAL_PUNCTUATION + _LATIN_LEAD + _CONTINUATION
_LOCAL_TRIM = _LOCAL_PUNCTUATION.replace(b"_", b"") + _CONTINUATION

_DOMAIN = re.compile(
    rb"(?:(?:[A-Za-z0-9]|[\xc3-\xc9][\x80-\xbf])(?:[A-Za-z0-9-]|[\xc3-\xc9][\x80-\xbf]){0,62}\.)+"
    rb"(?:[A-Za-z]{2,24}|[xX][nN]--[A-Za-z0-9-]{2,59})"
)
# `user@host:path`, a call as in `weights@layer.to(device)`, a longer name.
_NOT_AFTER_DOMAIN = re.compile(rb":[~/A-Za-z0-9.]|[(\[]|_?[A-Za-z0-9]|-[A-Za-z0-9]|\.[0-9_]|@")
_URL_LOGIN = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://[^\s/@]*\Z")

_COUNTRY_DOMAINS = (
    "ac ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs "
    "bt bw by bz ca cc cd cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee "
    "eg er es et eu fi fj fk fm fo fr ga gd ge gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm "
    "hn hr ht hu id ie il im in io iq ir is it je jm jo jp ke kg kh ki km kn kp kr kw ky kz la lb "
    "lc li lk lr ls lt lu lv ly ma mc md me mg mh mk ml mm mn mo mp mq mr ms mt mu mv mw mx my mz "
    "na nc ne nf ng ni nl no np nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw py qa re ro rs "
    "ru rw sa sb sc sd se sg sh si sk sl sm sn so sr ss st su sv sx sy sz tc td tf tg th tj tk tl "
    "tm tn to tr tt tv tw tz ua ug uk us uy uz va vc ve vg vi vn vu wf ws ye yt za zm zw"
)
_GENERIC_DOMAINS = (
    "com org net edu gov mil int info biz name pro aero coop museum jobs mobi travel tel cat asia "
    "post xxx arpa academy agency app art bank bar berlin bike bio blog boston brussels build "
    "business buzz cafe camp capital care careers cash center charity chat church city clinic "
    "cloud club coach codes coffee college cologne community company computer consulting cool "
    "credit dance dental design dev digital direct directory doctor earth education email energy "
    "engineer engineering enterprises events exchange expert express family farm fashion film "
    "finance financial fit fitness foundation fund fyi gallery games gent gmbh golf global group "
    "guide guru hamburg haus health healthcare hiv hospital host hotel house immo inc industries "
    "institute insurance international istanbul koeln law legal life limited link live london "
    "ltd ltda madrid management market marketing mba media miami moda money moscow movie nagoya "
    "network news ngo nrw nyc one ong online page paris partners photo photography photos plus "
    "press productions properties pub quebec radio rehab repair report rest restaurant review "
    "rio rocks ruhr run sale saarland salon school science scot security services shop show site "
    "ski social software solar solutions space sport store studio style support surf swiss sydney "
    "systems taipei tax team tech technology tips tirol today tokyo tools tours town trade "
    "training tube university uno vegas ventures vet video villas vin vip vision vote wales watch "
    "website wedding wien wiki wine work works world wtf xyz yoga zone zuerich"
)
# The delegated two-letter domains and the generic ones in common use (IANA root zone database).
_TOP_LEVEL_DOMAINS = frozenset(f"{_COUNTRY_DOMAINS} {_GENERIC_DOMAINS}".encode().split())

_SERVICE_LOGINS = frozenset({b"git", b"svn", b"hg", b"cvs", b"anonymous"})
_PLACEHOLDER_NAMES = frozenset(
    b"user username name you your yourname your-name your_name your.name youremail your-email "
    b"your_email email mail me myself foo bar foobar someone somebody nobody anybody example test "
    b"testuser user1 user2 xxx abc address firstname.lastname first.last login usuario utilisateur "
    b"nutzer benutzer benutzername utente nombre nom".split()
)
_PLACEHOLDER_DOMAIN = re.compile(
    rb"(?:.*\.)?(?:example\.(?:com|org|net|edu)|(?:your|my|some)?-?(?:domain|company|website|site|"
    rb"host|server|provider|email|mail)\.(?:com|org|net|de|fr|es|it)|(?:foo|bar|test)\.(?:com|org|net))",
    re.IGNORECASE,
)


def _email_at(window: bytes, at: int) -> tuple[int, int] | None:
    """Returns the place in `window` of the address whose at sign is at `at`."""
    outside = window[:at].rstrip(_LOCAL)
    local = window[len(outside) : at].lstrip(_LOCAL_TRIM)
    start = at - len(local)
    found = _DOMAIN.match(window, at + 1)
    if not local or len(local) > 64 or found is None or b".." in local or local.endswith(b"."):
        return None
    end = _end_of_domain(window, at + 1, found.end())
    if end is None or _NOT_AFTER_DOMAIN.match(window, end):
        return None
    if outside.endswith(b"@") or _URL_LOGIN.search(window[:start]):
        return None
    if window[end : end + 1] == b"_" and local.startswith(b"_"):
        start += 1  # emphasis in Markdown
    name, domain = window[start:at].lower(), window[at + 1 : end]
    if name in _SERVICE_LOGINS:
        return None
    if name in _PLACEHOLDER_NAMES and _PLACEHOLDER_DOMAIN.fullmatch(domain):
        return None
    return start, end


def _end_of_domain(window: bytes, start: int, end: int) -> int | None:
    """Returns where the domain ends: before a next sentence that no space keeps apart."""
    while True:
        domain = window[start:end]
        head, dot, top = domain.rpartition(b".")
        if not dot:
            return None
        if top.lower() in _TOP_LEVEL_DOMAINS or top[:4].lower() == b"xn--":
            return end
        if not top[:1].isupper() or domain.isupper():
            return None
        end = start + len(head)


def find_emails(column: Utf8Column, at_signs: np.ndarray) -> Iterator[Hit]:
    """Yields the email addresses around the at signs of a column."""
    for document, base, window, at, _ in windows_around(column, at_signs, at_signs, _MARGIN):
        place = _email_at(window, at)
        if place:
            yield Hit(document, base + place[0], base + place[1], "email")
