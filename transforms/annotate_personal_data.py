"""Finds personal data by its form: email addresses, phone numbers, IP addresses, cards, IBANs.

Every kind has a validator, because the form alone is wrong too often: check digits for cards
(ISO/IEC 7812, Luhn) and IBANs (ISO 13616, modulus 97), country codes for phone numbers (ITU-T
E.164), the special-purpose registries of IANA for IP addresses, top-level domains for email.

What counts is what a privacy reviewer would mask. Not found on purpose: IP addresses that belong
to nobody (private, reserved, documentation), networks, dotted version and section numbers; the
logins of `git@host:path` and of URLs; handles; placeholders such as `user@example.com`. An
address at `example.com` with any other name is found, since synthetic data about persons is made
of them. Not found although personal: names, postal addresses, obfuscated email addresses, and
local phone numbers of fewer than nine digits without a word such as `phone` before them.

Python looks only at places where such data can stand. They are found over the bytes of the whole
column with numpy: an at sign, or digits that stand close together.
"""

import functools
import ipaddress
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raicurate.corpora_manifests.errors import ManifestError
from raicurate.corpora_manifests.vocabulary import PERSONAL_DATA_KINDS, PersonalDataKind
from raicurate.transforms.registry import Annotator, register
from raicurate.transforms.schema import PERSONAL_DATA

# Where two kinds claim the same place, the first of these wins: the stricter validator.
_PRECEDENCE: tuple[PersonalDataKind, ...] = ("email", "iban", "card", "ip", "phone")

_SCAN_BYTES = 1 << 18  # numpy's intermediate arrays stay in the processor's cache

# --- email ---------------------------------------------------------------------------------------

_LETTERS_AND_DIGITS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
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


# --- IP addresses --------------------------------------------------------------------------------

# Blocks that belong to no one in particular (IANA special-purpose address registry and multicast).
# `ipaddress.is_global` is not used: its answers differ between patch releases of Python.
_NOBODYS_IPV4 = tuple(
    ipaddress.IPv4Network(block)
    for block in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24"),
        *("192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15"),
        *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3"),
    )
)
_GLOBAL_IPV6 = ipaddress.IPv6Network("2000::/3")
_NOBODYS_IPV6 = tuple(
    ipaddress.IPv6Network(block) for block in ("2001::/23", "2001:db8::/32", "3fff::/20")
)
# Open name servers, which documentation cites by address.
_NAME_SERVERS = frozenset(
    ipaddress.ip_address(address)
    for address in (
        *("1.1.1.1", "1.0.0.1", "8.8.8.8", "8.8.4.4", "9.9.9.9", "149.112.112.112"),
        *("208.67.222.222", "208.67.220.220", "94.140.14.14", "94.140.15.15", "4.2.2.2"),
        *("2606:4700:4700::1111", "2606:4700:4700::1001", "2001:4860:4860::8888"),
        *("2001:4860:4860::8844", "2620:fe::fe", "2620:fe::9"),
    )
)
# Of random public addresses 1 in 600 has three octets below 20 (4 (20/256)^3 + ...); dotted
# section and version numbers nearly always do.
_SMALL_OCTET = 20
_MOST_SMALL_OCTETS = 2
_ADDRESSED = re.compile(
    rb"\b(?:ip|ipv4|address|adresse|direcci\xc3\xb3n ip)[:=]? ?\Z", re.IGNORECASE
)
_NUMBERED = re.compile(
    rb"(?:\b(?:v|ver|vers|version|versions|versione|versi\xc3\xb3n|vers\xc3\xa3o|release|releases|"
    rb"rel|build|builds|rev|revision|update|patch|firmware|driver|section|sections|sec|chapter|"
    rb"clause|annex|appendix|figure|fig|table|abschnitt|kapitel|oid)[.:]?|\xc2\xa7|"
    rb"\xe3\x83\xb3|[<>=~^!]=|[<>^~]|[A-Za-z]/|[A-Za-z_]-)[ \"'`(]{0,2}\Z",
    re.IGNORECASE,
)
_INSIDE_NAME = re.compile(rb"[0-9A-Za-z_.]\Z")
_NOT_AFTER_IPV4 = re.compile(rb"[0-9A-Za-z_+]|[.-][A-Za-z0-9_]*[A-Za-z_]|\.[0-9]")
_PREFIX_LENGTH = re.compile(rb"/([0-9]{1,3})(?![0-9])")
_NOT_BEFORE_IPV6 = re.compile(rb"[0-9A-Za-z:_-]\Z")
_IPV6 = re.compile(rb"[0-9A-Fa-f:]{6,39}(?![0-9A-Za-z:_])")


def _is_personal_ipv4(address: ipaddress.IPv4Address, before: bytes) -> bool:
    """Whether the address can be that of a person; `before` is the text before it."""
    if address.packed[3] in {0, 255} or any(address in block for block in _NOBODYS_IPV4):
        return False
    if _ADDRESSED.search(before):
        return True
    small = sum(octet < _SMALL_OCTET for octet in address.packed)
    return small <= _MOST_SMALL_OCTETS and address not in _NAME_SERVERS


def _ipv4_at(window: bytes, start: int, end: int) -> tuple[int, int] | None:
    """Returns the place of the IPv4 address if the dotted numbers in [start, end) are one."""
    before = window[max(start - 24, 0) : start]
    if _INSIDE_NAME.search(before) or _NUMBERED.search(before):
        return None
    if _NOT_AFTER_IPV4.match(window, end):
        return None
    network = _PREFIX_LENGTH.match(window, end)
    if network is not None and int(network[1]) < 32:
        return None
    try:
        address = ipaddress.IPv4Address(window[start:end].decode("ascii"))
    except ValueError:
        return None
    return (start, end) if _is_personal_ipv4(address, before) else None


def _ipv6_at(window: bytes, start: int) -> tuple[int, int] | None:
    """Returns the place of the global IPv6 address that starts at `start`."""
    found = _IPV6.match(window, start)
    if found is None or _NOT_BEFORE_IPV6.search(window[max(start - 1, 0) : start]):
        return None
    end = found.end()
    if window[end - 1 : end] == b":" and window[end - 2 : end] != b"::":
        end -= 1  # the colon of a sentence
    try:
        address = ipaddress.IPv6Address(window[start:end].decode("ascii"))
    except ValueError:
        return None
    if address not in _GLOBAL_IPV6 or address in _NAME_SERVERS:
        return None
    if any(address in block for block in _NOBODYS_IPV6):
        return None
    network = _PREFIX_LENGTH.match(window, end)
    if network is not None and int(network[1]) < 128:
        return None
    return start, end


# --- cards and IBANs -----------------------------------------------------------------------------

# Issuer prefixes and lengths: Visa, Mastercard, American Express, Diners Club, Discover, JCB,
# UnionPay, Mir (published issuer identification number ranges).
_CARD = re.compile(
    rb"4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})|5[1-5][0-9]{14}|"
    rb"2(?:22[1-9]|2[3-9][0-9]|[3-6][0-9]{2}|7[01][0-9]|720)[0-9]{12}|3[47][0-9]{13}|"
    rb"3(?:0[0-59]|[689][0-9])[0-9]{11}|6(?:011|4[4-9][0-9]|5[0-9]{2})[0-9]{12,15}|"
    rb"35(?:2[89]|[3-8][0-9])[0-9]{12,15}|62[0-9]{14,17}|220[0-4][0-9]{12}"
)
_CARD_WRITTEN = re.compile(
    rb"(?<![0-9A-Za-z_])(?<![0-9][.,:/-])(?<![=/&#.-])(?:[0-9]{13,19}|"
    rb"[0-9]{4}([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{4}(?:\1[0-9]{3})?(?!\1[0-9]{4}(?![0-9]))|"
    rb"[0-9]{4}([ -])[0-9]{6}\2[0-9]{4,5})(?![0-9A-Za-z_])(?![.,:/-][0-9])"
)
_FEWEST_CARD_DIGITS = 13
_LUHN_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def passes_luhn(digits: bytes) -> bool:
    """Whether the last digit of `digits` is the Luhn check digit of the others."""
    values = [digit - 48 for digit in reversed(digits)]
    return (sum(values[::2]) + sum(_LUHN_DOUBLED[value] for value in values[1::2])) % 10 == 0


def _cards_in(window: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    for found in _CARD_WRITTEN.finditer(window):
        if found.start() < start or found.end() > end:
            continue
        digits = found[0].replace(b" ", b"").replace(b"-", b"")
        if _CARD.fullmatch(digits) and len(set(digits)) > 1 and passes_luhn(digits):
            yield found.span()


# Length by country (SWIFT IBAN registry).
_IBAN_LENGTHS = {
    country.encode(): length
    for length, countries in {
        15: "NO",
        16: "BE",
        18: "DK FK FI FO GL NL SD",
        19: "MK SI",
        20: "AT BA EE KZ LT LU XK MN",
        21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA",
        23: "AE GI IL IQ TL OM SO",
        24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST",
        26: "IS TR",
        27: "BI DJ FR GR IT MC MR SM",
        28: "AL AZ BY CY DO GT HU LB NI PL SV",
        29: "BR EG PS QA UA",
        30: "JO KW MU YE",
        31: "MT SC",
        32: "LC",
        33: "RU",
    }.items()
    for country in countries.split()
}
_IBAN_GAP = re.compile(rb" |-|\xc2\xa0")


@functools.cache
def _iban_pattern(length: int) -> re.Pattern[bytes]:
    return re.compile(
        rb"[A-Z]{2}[0-9]{2}(?:(?: |-|\xc2\xa0)?[A-Z0-9]){%d}(?![A-Za-z0-9])" % (length - 4)
    )


def passes_iban_check(iban: bytes) -> bool:
    """Whether the check digits of an IBAN without spaces are right (ISO 13616, modulus 97)."""
    rearranged = iban[4:] + iban[:4]
    return int("".join(str(int(chr(code), 36)) for code in rearranged)) % 97 == 1


def _iban_at(window: bytes, start: int) -> tuple[int, int] | None:
    length = _IBAN_LENGTHS.get(window[start : start + 2])
    found = _iban_pattern(length).match(window, start) if length else None
    if found is None or not passes_iban_check(_IBAN_GAP.sub(b"", found[0])):
        return None
    return found.span()


# --- phone numbers -------------------------------------------------------------------------------

_GAP = rb"(?:[ ./-]|\xc2\xa0|\xe2\x80[\x91\xaf])"
_PHONE_END = rb"(?!(?!x[0-9])[0-9A-Za-z_])(?![.,:/-][0-9])"  # `x` starts an extension
_COUNTRY_CODE = (
    rb"(?:7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|21[1-8]|22[0-9]|23[0-9]|24[0-9]|"
    rb"25[0-8]|26[0-9]|29[0179]|35[0-9]|37[0-9]|38[0-35-79]|42[013]|50[0-9]|59[0-9]|67[0-9]|"
    rb"68[0-9]|69[0-2]|80[08]|85[02356]|88[06]|96[0-8]|97[0-7]|99[2-8])"
)
_PHONE = re.compile(
    rb"(?<![0-9A-Za-z_+])(?<![0-9][.,:/-])(?<![A-Za-z]\.)(?<![=/&#])(?:"
    # North American numbering plan: area code and exchange start with 2 to 9.
    rb"(?P<american>(?:(?:\+|00)?1[ .-]{0,2})?(?:\([2-9][0-9]{2}\)[ .-]{0,2}[2-9][0-9]{2}[ .-]|"
    rb"[2-9][0-9]{2}-[2-9][0-9]{2}-|[2-9][0-9]{2}\.[2-9][0-9]{2}\.)[0-9]{4}|"
    rb"(?:\+|00)1%(gap)b?[2-9][0-9]{2}%(gap)b?[2-9][0-9]{2}%(gap)b?[0-9]{4})|"
    rb"(?P<international>(?:\+|(?<![0-9] )00%(gap)b?(?=[1-9]))%(code)b"
    rb"(?:%(gap)b{0,2}\(?[0-9]{1,5}\)?)?(?:%(gap)b{0,3}[0-9]){5,12})|"
    # With the trunk prefix 0: France, Japan, area code in brackets, in groups, with a slash.
    rb"(?<![0-9] )(?:"
    rb"(?P<french>0[1-9](?:(?: [0-9]{2}){4}|(?:\.[0-9]{2}){4}|(?:-[0-9]{2}){4}))|"
    rb"(?P<japanese>0[0-9]{1,4}-[0-9]{1,4}-[0-9]{4})|"
    rb"(?P<bracketed>\(0[1-9][0-9]{0,3}\)[ -]?[0-9]{2,5}(?:[ -]?[0-9]{2,5}){1,2})|"
    rb"(?P<grouped>0[1-9][0-9]{1,3} [0-9]{3,4} [0-9]{3,4}|07[0-9]{3} [0-9]{6}|"
    rb"0[1-9][0-9]{1,3}[/-][0-9]{6,8}|01[5-7][0-9][ /-]?[0-9]{7,8})|"
    rb"(?P<brazilian>\([1-9][1-9]\) ?9?[0-9]{4}-[0-9]{4})))"
    rb"%(end)b" % {b"gap": _GAP, b"code": _COUNTRY_CODE, b"end": _PHONE_END}
)
_PHONE_DIGITS = {
    "american": (10, 13),
    "international": (9, 17),
    "french": (10, 10),
    "japanese": (10, 11),
    "bracketed": (9, 12),
    "grouped": (10, 12),
    "brazilian": (10, 11),
}
_ANNOUNCED_PHONE = re.compile(
    rb"[+(]{0,2}[0-9](?:%(gap)b{0,3}[()]?%(gap)b?[0-9]){6,14}%(end)b"
    % {b"gap": _GAP, b"end": _PHONE_END}
)
_ANNOUNCEMENT = re.compile(
    r"(?:\b(?:tel|tél|tlf|phone|telephone|téléphone|telefon|telefono|teléfono|telefone|fon|mobile|"
    r"telefoon|telepon|mobil|móvil|cellulare|celular|cell phone|portable|handy|fax|faks|"
    r"telefax|call|text|dial|sms|whats ?app|hotline|rufnummer|тел|телефон|факс)|電話|携帯|"
    r"電話番号|电话|手机|传真|전화|फ़ोन|फोन|मोबाइल|"
    r"هاتف|الهاتف|تلفون|جوال|موبايل|☎|📞|📱)(?:(?<=tel|tél|tlf|fon|fax|тел)\.)?"
    r"(?:[ :]{0,2}(?:(?:no|nr|num)\.?|number|nummer|numéro|número|numero|us|me|at|now|is|on|"
    r"番号|号码|नंबर|رقم)(?!\w)){0,2}(?:[^\w.\n!?;/-]|(?<= )-){0,4}$",
    re.IGNORECASE,
)
_NO_PHONE_BEFORE = re.compile(
    rb"(?:isbn|issn|doi|pmid|oclc|arxiv|lccn|asin|ean|upc|gtin)(?:-?1[03])?[:= ]{0,3}\Z",
    re.IGNORECASE,
)
_ISBN = re.compile(rb"97[89][ -]?[0-9]")
# Amounts end in groups of zeros; in coordinates a sign follows a space.
_AMOUNT_OR_COORDINATES = re.compile(rb"000(?:%b000)+\Z| [-+][0-9]" % _GAP)
# "phone 1 or 2": a number that follows this close after a phone number is announced with it.
_LIST_BYTES = 8
_FEWEST_UNANNOUNCED = min(least for least, _ in _PHONE_DIGITS.values())


def _phones_in(
    window: bytes, start: int, end: int, digits: int, announced: bool
) -> Iterator[tuple[int, int]]:
    """Yields the phone numbers among the digits in [start, end) of `window`.

    Args:
        window: Bytes of the document around the digits.
        start: Where the digits start.
        end: Where they end.
        digits: How many there are.
        announced: Whether a phone number just before announces another one.
    """
    lead = start
    while lead > 0 and window[lead - 1] in b"+(":
        lead -= 1
    before = window[:lead]
    if announced or _ANNOUNCEMENT.search(before[-40:].decode("utf-8", "ignore")):
        found = _ANNOUNCED_PHONE.match(window, lead)
        if found is not None and not _ISBN.match(window, lead):
            yield found.span()
            return
    bare = lead == start and end - start == digits
    if bare or digits < _FEWEST_UNANNOUNCED or _NO_PHONE_BEFORE.search(before):
        return
    for found in _PHONE.finditer(window, lead, end + 4):
        if found.end() > end + 1:
            continue
        count = sum(48 <= code <= 57 for code in found[0])
        least, most = _PHONE_DIGITS[found.lastgroup or ""]
        if least <= count <= most and not _AMOUNT_OR_COORDINATES.search(found[0]):
            yield found.span()


# --- candidate places ----------------------------------------------------------------------------

_SEPARATOR = np.zeros(256, dtype=bool)
_SEPARATOR[list(b" .-/()\xc2\xa0\xe2\x80\x91\xaf")] = True
_ALPHANUMERIC = np.zeros(256, dtype=bool)
_ALPHANUMERIC[list(_LETTERS_AND_DIGITS)] = True
_IBAN_COUNTRY = np.zeros((256, 256), dtype=bool)
for _country in _IBAN_LENGTHS:
    _IBAN_COUNTRY[_country[0], _country[1]] = True
_HEXADECIMAL = np.zeros(256, dtype=bool)
_HEXADECIMAL[list(b"0123456789abcdefABCDEF")] = True
_MOST_SEPARATORS = 4

# Digits of other scripts, one code point each, so that offsets stay: Arabic-Indic, Persian,
# Devanagari, fullwidth. Fullwidth signs stand between fullwidth digits.
_ZEROS = (0x0660, 0x06F0, 0x0966, 0xFF10)
_TO_ASCII = {zero + value: 48 + value for zero in _ZEROS for value in range(10)} | {
    0xFF0B: 0x2B,
    0xFF0D: 0x2D,
    0xFF08: 0x28,
    0xFF09: 0x29,
    0x30FC: 0x2D,
    0x3000: 0x20,
}
_FEWEST_PHONE_DIGITS = 7


class _Bytes(NamedTuple):
    """The UTF-8 bytes of a column: document `i` is `data[offsets[i]:offsets[i + 1]]`."""

    data: np.ndarray
    offsets: np.ndarray


def _bytes_of(texts: pa.Array) -> _Bytes:
    offset_type = np.int64 if pa.types.is_large_string(texts.type) else np.int32
    _, offsets_buffer, data_buffer = texts.buffers()
    offsets = np.frombuffer(offsets_buffer, dtype=offset_type, count=texts.offset + len(texts) + 1)
    offsets = offsets[texts.offset :].astype(np.int64)
    if data_buffer is None:
        return _Bytes(np.zeros(0, dtype=np.uint8), offsets)
    data = np.frombuffer(data_buffer, dtype=np.uint8)[offsets[0] : offsets[-1]]
    return _Bytes(data, offsets - offsets[0])


class _Places(NamedTuple):
    """Where candidates stand, as byte positions in the column."""

    at_signs: np.ndarray
    digits: np.ndarray
    native_digits: np.ndarray


def _scan(data: np.ndarray) -> _Places:
    """Returns the at signs, the ASCII digits and the lead bytes of digits of other scripts."""
    at_signs, digits, native = [], [], []
    for start in range(0, len(data), _SCAN_BYTES):
        block = data[start : start + _SCAN_BYTES]
        at_signs.append(np.flatnonzero(block == 0x40) + start)
        digits.append(np.flatnonzero((block - np.uint8(48)) < 10) + start)
        native.append(np.flatnonzero(block >= 0xD9) + start)
    none = np.zeros(0, dtype=np.int64)
    lead = np.concatenate([none, *native])
    return _Places(
        np.concatenate([none, *at_signs]), np.concatenate([none, *digits]), _native(data, lead)
    )


def _native(data: np.ndarray, lead: np.ndarray) -> np.ndarray:
    """Returns those of the positions in `lead` where a digit of another script starts."""
    lead = lead[np.isin(data[lead], (0xD9, 0xDB, 0xE0, 0xEF))]
    lead = lead[lead + 1 < len(data)]
    first, second = data[lead], data[lead + 1]
    third = data[np.minimum(lead + 2, len(data) - 1)]
    arabic = (first == 0xD9) & (second >= 0xA0) & (second <= 0xA9)
    persian = (first == 0xDB) & (second >= 0xB0) & (second <= 0xB9)
    devanagari = (first == 0xE0) & (second == 0xA5) & (third >= 0xA6) & (third <= 0xAF)
    fullwidth = (first == 0xEF) & (second == 0xBC) & (third >= 0x90) & (third <= 0x99)
    return lead[arabic | persian | devanagari | fullwidth]


def _groups(joined: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns first and last index of each group, where `joined[i]` ties i to i + 1."""
    cuts = np.flatnonzero(~joined)
    return np.concatenate([[0], cuts + 1]), np.concatenate([cuts, [len(joined)]])


class _Candidates(NamedTuple):
    """Candidates among the digits of a column, as byte positions.

    Attributes:
        numbers: Rows of start, end and count of digits.
        ipv4: Rows of start and end.
        ipv6: Starts.
        iban: Starts.
    """

    numbers: np.ndarray
    ipv4: np.ndarray
    ipv6: np.ndarray
    iban: np.ndarray


def _candidates(text: _Bytes, digits: np.ndarray) -> _Candidates:
    data = text.data
    if len(digits) == 0:
        empty = np.zeros((0, 3), dtype=np.int64)
        return _Candidates(empty, empty, empty[:, 0], empty[:, 0])
    gap = np.diff(digits)
    first_in_document = np.searchsorted(digits, text.offsets[1:-1])
    first_in_document = first_in_document[
        (first_in_document > 0) & (first_in_document < len(digits))
    ]
    pass
    between = digits[:-1]
    adjacent = gap == 1
    close = gap <= _MOST_SEPARATORS + 1
    for distance in range(1, _MOST_SEPARATORS + 1):
        inside = distance < gap
        byte = data[np.minimum(between + distance, len(data) - 1)]
        close &= ~inside | _SEPARATOR[byte]
    starts, ends = _groups(close)
    counts = ends - starts + 1
    many = counts >= _FEWEST_PHONE_DIGITS
    numbers = np.stack([digits[starts[many]], digits[ends[many]] + 1, counts[many]], axis=1)
    numbers = numbers[~_are_dates(data, numbers)]

    dot = (gap == 2) & (data[np.minimum(between + 1, len(data) - 1)] == 0x2E)
    starts, ends = _groups(adjacent | dot)
    dots = np.concatenate([[0], np.cumsum(dot)])
    four = (dots[ends] - dots[starts]) == 3
    ipv4 = np.stack([digits[starts[four]], digits[ends[four]] + 1], axis=1)

    lead = digits[(data[digits] & 0xFE) == 0x32]  # 2 or 3: global IPv6 addresses are in 2000::/3
    lead = lead[lead + 4 < len(data)]
    lead = lead[data[lead + 4] == 0x3A]
    for distance in (1, 2, 3):
        lead = lead[_HEXADECIMAL[data[lead + distance]]]

    check = digits[:-1][adjacent]
    check = check[check >= 2]
    check = check[_IBAN_COUNTRY[data[check - 2], data[check - 1]]]
    check = check[(check == 2) | ~_ALPHANUMERIC[data[check - 3]]]
    return _Candidates(numbers, ipv4, lead, check - 2)


def _are_dates(data: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Whether each number is a date such as 2001-02-03 or two years such as 1999-2001.

    Such numbers are most of those with eight digits in encyclopedias, and never phone numbers.
    """
    start, length = numbers[:, 0], numbers[:, 1] - numbers[:, 0]
    eight = numbers[:, 2] == 8

    def byte(offset: int) -> np.ndarray:
        return data[np.minimum(start + offset, len(data) - 1)]

    def is_century(offset: int) -> np.ndarray:
        first, second = byte(offset), byte(offset + 1)
        return (first == 0x31) | ((first == 0x32) & (second == 0x30))  # 1xxx or 20xx

    date = (length == 10) & (byte(4) == byte(7)) & np.isin(byte(4), list(b"-/."))
    years = (length == 9) & is_century(5)
    return eight & is_century(0) & (date | years)


# --- documents -----------------------------------------------------------------------------------

_WINDOW = 80  # bytes looked at before a candidate, more than any word that announces a number
_EMAIL_WINDOW = 320  # 64 before the at sign and 255 after it (RFC 5321)


class _Hit(NamedTuple):
    document: int
    start: int
    end: int
    kind: PersonalDataKind


class _Windows:
    """Cuts the bytes around candidates out of a column, within their documents."""

    def __init__(self, text: _Bytes) -> None:
        self._text = text

    def around(
        self, starts: np.ndarray, ends: np.ndarray, margin: int
    ) -> Iterator[tuple[int, int, bytes, int, int]]:
        """Yields document, position and bytes of the window, start and end within it."""
        offsets = self._text.offsets
        documents = np.searchsorted(offsets, starts, side="right") - 1
        low = np.maximum(starts - margin, offsets[documents])
        high = np.minimum(ends + margin, offsets[documents + 1])
        columns = (documents, starts, ends, low, high)
        for document, start, end, left, right in zip(
            *(column.tolist() for column in columns), strict=True
        ):
            window = self._text.data[left:right].tobytes()
            yield document, left, window, start - left, end - left


def _addresses(windows: _Windows, found: _Candidates) -> Iterator[_Hit]:
    for document, base, window, start, end in windows.around(
        found.ipv4[:, 0], found.ipv4[:, 1], 24
    ):
        place = _ipv4_at(window, start, end)
        if place:
            yield _Hit(document, base + place[0], base + place[1], "ip")
    for document, base, window, start, _ in windows.around(found.ipv6, found.ipv6, 48):
        place = _ipv6_at(window, start)
        if place:
            yield _Hit(document, base + place[0], base + place[1], "ip")


def _numbers(windows: _Windows, found: _Candidates, kinds: frozenset[str]) -> Iterator[_Hit]:
    starts, ends, counts = found.numbers.T
    phone_end = -_LIST_BYTES - 1
    places = windows.around(starts, ends, _WINDOW)
    for (document, base, window, start, end), digits in zip(places, counts.tolist(), strict=True):
        if "card" in kinds and digits >= _FEWEST_CARD_DIGITS:
            for first, last in _cards_in(window, start, end):
                yield _Hit(document, base + first, base + last, "card")
        if "phone" in kinds:
            announced = base <= phone_end and base + start - phone_end <= _LIST_BYTES
            for first, last in _phones_in(window, start, end, digits, announced):
                yield _Hit(document, base + first, base + last, "phone")
                phone_end = base + last


def _hits(text: _Bytes, places: _Places, kinds: frozenset[str]) -> list[_Hit]:
    """Returns the hits of all documents, as byte positions in the column, in no order."""
    hits: list[_Hit] = []
    windows = _Windows(text)
    if "email" in kinds:
        at_signs = places.at_signs
        for document, base, window, at, _ in windows.around(at_signs, at_signs, _EMAIL_WINDOW):
            place = _email_at(window, at)
            if place:
                hits.append(_Hit(document, base + place[0], base + place[1], "email"))
    if not kinds - {"email"}:
        return hits
    found = _candidates(text, places.digits)
    if "ip" in kinds:
        hits.extend(_addresses(windows, found))
    if "iban" in kinds:
        for document, base, window, start, _ in windows.around(found.iban, found.iban, _WINDOW):
            place = _iban_at(window, start)
            if place:
                hits.append(_Hit(document, base + place[0], base + place[1], "iban"))
    if kinds & {"card", "phone"}:
        hits.extend(_numbers(windows, found, kinds))
    return hits


def _without_overlaps(hits: list[_Hit]) -> list[_Hit]:
    """Returns the hits in order, without those that overlap one of a kind that takes precedence."""
    kept: list[_Hit] = []
    for hit in sorted(hits, key=lambda hit: (hit.start, _PRECEDENCE.index(hit.kind), -hit.end)):
        if kept and hit.start < kept[-1].end:
            last = kept[-1]
            if _PRECEDENCE.index(hit.kind) < _PRECEDENCE.index(last.kind):
                kept[-1] = hit
            continue
        kept.append(hit)
    return kept


def _rows(text: _Bytes, hits: list[_Hit]) -> dict[int, list[tuple[int, int, str]]]:
    """Returns the spans of each document that has any, in code points."""
    rows: dict[int, list[tuple[int, int, str]]] = {}
    document, position, characters = -1, 0, 0
    for hit in _without_overlaps(hits):
        if hit.document != document:
            document, position, characters = hit.document, int(text.offsets[hit.document]), 0
        edges = []
        for edge in (hit.start, hit.end):
            # Every byte but a continuation byte (10xxxxxx) starts a code point.
            piece = text.data[position:edge]
            characters += int(np.count_nonzero((piece & 0xC0) != 0x80))
            position = edge
            edges.append(characters)
        rows.setdefault(document, []).append((edges[0], edges[1], hit.kind))
    return rows


def find_personal_data(
    texts: pa.Array, kinds: Sequence[PersonalDataKind] = PERSONAL_DATA_KINDS
) -> pa.ListArray:
    """Finds personal data in a column of texts.

    Args:
        texts: Strings; nulls have no personal data.
        kinds: Which kinds to look for.

    Returns:
        For each text a list of {start, end, kind}: code point offsets, sorted, not overlapping.

    Example:
        >>> find_personal_data(pa.array(["write to ada@lovelace.org"])).to_pylist()
        [[{'start': 9, 'end': 25, 'kind': 'email'}]]
    """
    wanted = frozenset(kinds)
    text = _bytes_of(pc.fill_null(texts, ""))
    places = _scan(text.data)
    rows = _rows(text, _hits(text, places, wanted))
    if len(places.native_digits) and wanted & {"phone", "card"}:
        documents = np.searchsorted(text.offsets, places.native_digits, side="right") - 1
        having, counts = np.unique(documents, return_counts=True)
        having = having[counts >= _FEWEST_PHONE_DIGITS]
        plain = pa.array(
            [texts[index].as_py().translate(_TO_ASCII) for index in having.tolist()], texts.type
        )
        again = _bytes_of(plain)
        found = _rows(again, _hits(again, _scan(again.data), wanted))
        rows |= {int(having[row]): spans for row, spans in found.items()}
    return _as_list_array(len(texts), rows)


def _as_list_array(length: int, rows: dict[int, list[tuple[int, int, str]]]) -> pa.ListArray:
    counts = np.zeros(length + 1, dtype=np.int32)
    for row, spans in rows.items():
        counts[row + 1] = len(spans)
    flat = [span for row in sorted(rows) for span in rows[row]]
    values = pa.StructArray.from_arrays(
        [
            pa.array([span[0] for span in flat], pa.int32()),
            pa.array([span[1] for span in flat], pa.int32()),
            pa.array([span[2] for span in flat], pa.string()),
        ],
        fields=list(PERSONAL_DATA),
    )
    return pa.ListArray.from_arrays(pa.array(np.cumsum(counts, dtype=np.int32)), values)


@register("personal_data@1")
class PersonalDataAnnotator(Annotator):
    """Marks email addresses, phone numbers, IP addresses, payment cards and IBANs.

    Args:
        kinds: Which kinds to look for; by default all.
    """

    columns = ("personal_data",)

    def __init__(self, kinds: Sequence[PersonalDataKind] = PERSONAL_DATA_KINDS) -> None:
        unknown = sorted(set(kinds) - set(PERSONAL_DATA_KINDS))
        if unknown or isinstance(kinds, str):
            raise ManifestError(
                f"annotator 'personal_data@1': `kinds` holds {unknown or kinds!r}, so it is not "
                f"clear what to look for; give a list of {', '.join(PERSONAL_DATA_KINDS)}"
            )
        self.kinds = tuple(kind for kind in PERSONAL_DATA_KINDS if kind in kinds)

    def annotate(self, batch: pa.RecordBatch) -> list[pa.Array]:
        """Returns the column `personal_data`, an empty list where there is none."""
        return [find_personal_data(batch.column("text"), self.kinds)]

    def parameters(self) -> dict[str, list[str]]:
        """Returns the kinds, in the order of the vocabulary."""
        return {"kinds": list(self.kinds)}
