"""Rows of corpora as policy documents."""

import pytest

from raicurate.transforms.policy_rows import path_of


@pytest.mark.parametrize(
    ("file", "metadata", "expected"),
    [
        ("privacy.de.md", "{}", "privacy.de.md"),
        ("site/terms.html", '{"path": "other"}', "site/terms.html"),
        ("policies.jsonl.gz", '{"path": "fr/privacy.md"}', "fr/privacy.md"),
        ("policies.jsonl.gz", "{}", None),
        ("policies.parquet", '{"path": 3}', None),
        ("policies.jsonl", "[]", None),
    ],
)
def test_a_file_of_records_is_no_path_of_its_documents(file, metadata, expected):
    """Otherwise all its documents would be taken for translations of each other."""
    assert path_of(file, metadata) == expected
