"""Checks of files that people write, and of outputs."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from raicurate.corpora_manifests.classifier import (
    load_classifier,
    load_identity_terms,
    load_passages,
    load_ratings,
    load_sentences,
)
from raicurate.corpora_manifests.encoder import load_encoder_manifest
from raicurate.corpora_manifests.errors import ContractError, ManifestError
from raicurate.corpora_manifests.load import load_manifest, load_policy, read_yaml
from raicurate.exercise_templates.context import ContextLibrary
from raicurate.pipelines import storage
from raicurate.pipelines.blocks import Blocks
from raicurate.pipelines.snapshots import current_snapshot, located
from raicurate.pipelines.totals import Totals
from raicurate.transforms.clause import DEONTIC


def _manifest(path: Path) -> None:
    Blocks.create(load_manifest(path))


def _context(path: Path) -> None:
    # A file may rest on the words that ship, or on others of its folder.
    ContextLibrary.load([path.resolve().parent])


def _suite(path: Path) -> None:
    from raicurate.probes.suite import load_suite

    load_suite(path)


def _lexicon(path: Path) -> None:
    from raicurate.transforms.annotate_lexicon import read_lexicon

    read_lexicon(path)


def _prompt(path: Path) -> None:
    from raicurate.exercise_templates.prompts import read_judge_prompt, read_prompt

    # Only what writes context has kinds of it.
    (read_prompt if "kinds" in read_yaml(path) else read_judge_prompt)(path)


def _rewording_prompt(path: Path) -> None:
    from raicurate.exercise_templates.prompts import read_rewording_prompt

    read_rewording_prompt(path)


def _pair_words(path: Path) -> None:
    from raicurate.exercise_templates.pairs import read_pair_file

    read_pair_file(path)


def _exercise_words(path: Path) -> None:
    from raicurate.exercise_templates.exercises import read_exercise_file

    read_exercise_file(path)


def _clause_pack(path: Path) -> None:
    from raicurate.transforms.clause_packs import read_clause_pack

    read_clause_pack(path)


def _sidecar(path: Path) -> None:
    from raicurate.transforms.clause_sidecar import read_sidecar

    read_sidecar(path)


def _mentions(path: Path) -> None:
    _language_lists(path, "mentions")


def _verdict_words(path: Path) -> None:
    content = _language_lists(path, "verdict_words")
    for language, words in content.items():
        missing = set(DEONTIC) - set(words)
        if missing:
            raise ManifestError(f"{path}: {language} says nothing for {sorted(missing)}; add it")


def _language_lists(path: Path, key: str) -> dict[str, dict[str, Any]]:
    content = read_yaml(path)[key]
    if not isinstance(content, dict) or not all(isinstance(own, dict) for own in content.values()):
        raise ManifestError(f"{path}: `{key}` must hold a mapping for each language; correct it")
    return content


_KINDS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "corpora": ("manifest", _manifest),
    "manners": ("prompt for questions", _rewording_prompt),
    "prompt": ("prompt", _prompt),
    "pair_language": ("words of pairs", _pair_words),
    "rules": ("policy", load_policy),
    "sets": ("classifier manifest", load_classifier),
    "encoder": ("manifest of an encoder's head", load_encoder_manifest),
    "passages": ("labelled passages", load_passages),
    "groups": ("labelled sentences", load_sentences),
    "ratings": ("ratings of severity", load_ratings),
    "identity_terms": ("names of groups of people", load_identity_terms),
    "styles": ("context template", _context),
    "any": ("context template", _context),
    "parts": ("context template", _context),
    "terms": ("lexicon", _lexicon),
    "modals": ("clause pack", _clause_pack),
    "clauses": ("notes on clauses", _sidecar),
    "family": ("exercise family", _exercise_words),
    "mentions": ("words that mention groups of people", _mentions),
    "verdict_words": ("words of verdicts", _verdict_words),
    "verdict_choices": ("words of exercises", _exercise_words),
    **dict.fromkeys(("items", "documents", "key_terms", "outside", "include"), ("suite", _suite)),
}
"""What a YAML file is, by a key that only this kind has."""


def validate_file(path: Path) -> str:
    """Checks a YAML file and returns what kind of file it is.

    Raises:
        ManifestError: It is not valid, or of no known kind.
    """
    content = read_yaml(path)
    keys = content.keys() if isinstance(content, dict) else ()
    for key, (kind, check) in _KINDS.items():
        if key in keys:
            check(path)
            return kind
    known = ", ".join(f"{key} ({kind})" for key, (kind, _) in _KINDS.items())
    raise ManifestError(f"{path} is of no known kind: it has none of the keys {known}")


def validate_output(out: str, restricted: str | None, deep: bool) -> Iterator[str]:
    """Yields what is wrong with the current snapshot of an output.

    Args:
        out: The output.
        restricted: Its restricted tier.
        deep: Compare the content of every part with its digest, beside its size.

    Raises:
        ContractError: There is no snapshot.
    """
    snapshot = current_snapshot(out)
    if snapshot is None:
        raise ContractError(f"{out} holds no snapshot; finish a run there first")
    try:
        Totals.of(snapshot.receipts, {}).check_conservation()
    except ContractError as error:
        yield str(error)
    for receipt in snapshot.receipts:
        if not receipt.balanced:
            yield f"unit {receipt.unit} does not add up: {receipt.counts}"
    for part in snapshot.parts:
        path = located(out, restricted, part)
        if path is None:
            yield f"{part.path} is missing"
        elif storage.file_size(path) != part.bytes:
            yield f"{part.path} has {storage.file_size(path)} bytes instead of {part.bytes}"
        elif deep and storage.sha256(path) != part.sha256:
            yield f"{part.path} has another content than its receipt says"
