"""From a row of a corpus to a policy document with its clauses."""

from collections.abc import Mapping

import orjson

from raicurate.transforms.clause import Clause
from raicurate.transforms.clause_packs import ClausePacks
from raicurate.transforms.clauses import extract_clauses
from raicurate.transforms.policy_document import Media, PolicyDocument, read_policy

_MEDIA: dict[str, Media] = {
    ".md": "markdown",
    ".markdown": "markdown",
    ".mdx": "markdown",
    ".html": "html",
    ".htm": "html",
    ".txt": "text",
    ".pdf": "markdown",  # what the reader of PDF files makes of them
}


def media_of(file: str) -> Media | None:
    """Returns what a file holds by its suffix; None where the text itself has to tell."""
    name = file.lower().removesuffix(".gz").removesuffix(".zst")
    return next((media for suffix, media in _MEDIA.items() if name.endswith(suffix)), None)


def declared_family(metadata: str) -> str | None:
    """Returns the family that the metadata of a document names (a JSON object)."""
    values = orjson.loads(metadata)
    found = values.get("family") if isinstance(values, Mapping) else None
    return found if isinstance(found, str) and found else None


def path_of(file: str, metadata: str) -> str | None:
    """Returns the path that is the document's own: its file, or the one its metadata names.

    A file of records holds many documents, so that its path says nothing of any.
    """
    if media_of(file) is not None:
        return file
    values = orjson.loads(metadata)
    found = values.get("path") if isinstance(values, Mapping) else None
    return found if isinstance(found, str) and found else None


def policy_of_row(
    document_id: str, text: str, language: str | None, file: str, metadata: str
) -> PolicyDocument:
    """Returns the document of a row; a language that is not known has no clauses."""
    return read_policy(
        text, media_of(file), document_id, language or "und", declared_family(metadata)
    )


def clauses_of(document: PolicyDocument, packs: ClausePacks) -> list[Clause]:
    """Returns the clauses of a document."""
    return extract_clauses(document, packs)
