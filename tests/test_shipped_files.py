"""Everything that ships as data is valid, and the quickstart runs."""

from pathlib import Path

import orjson
import pyarrow.parquet as pq
import pytest
import yaml

from raicurate.corpora_manifests.load import PACKAGE_FOLDER, json_schema, load_manifest
from raicurate.pipelines.cli import main
from raicurate.pipelines.validation import validate_file

ROOT = Path(__file__).parent.parent
SAMPLE = PACKAGE_FOLDER / "sample" / "documents"
YAML_FILES = sorted(
    path
    for folder in ("corpora_manifests", "exercise_templates", "transforms", "probes")
    for path in (ROOT / folder).rglob("*.yaml")
    if SAMPLE not in path.parents
)


@pytest.mark.parametrize("path", YAML_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_shipped_yaml_is_valid(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Manifests, policies, templates, lexicons and classifiers pass `raicurate validate`."""
    monkeypatch.setenv("RAI_DATA", "/nowhere")
    assert validate_file(path)


def test_json_schema_is_current() -> None:
    """The JSON Schema for editors is that of the models."""
    stored = orjson.loads((PACKAGE_FOLDER / "manifest.schema.json").read_bytes())
    assert stored == json_schema(), (
        "run `raicurate manifest schema > corpora_manifests/manifest.schema.json`"
    )


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of the quickstart."""
    out = tmp_path_factory.mktemp("quickstart") / "out"
    assert main(["run", str(PACKAGE_FOLDER / "quickstart.yaml"), "--out", str(out)]) == 0
    return out


def test_quickstart_reports_the_damage_it_expects(quickstart: Path) -> None:
    """The damaged archive is reported, everything before the damage is kept, the run succeeds."""
    totals = orjson.loads((quickstart / "_rai" / "totals.json").read_bytes())
    (damage,) = totals["damage"]
    assert damage["file"] == "damaged.jsonl.gz"
    assert damage["expected"] is True
    assert totals["corpora"]["damaged"]["documents_in"] == 8
    assert (quickstart / "_SUCCESS").is_file()


def test_quickstart_reads_every_document(quickstart: Path) -> None:
    """All documents of the sample corpus arrive, in the language in which they were written."""
    ledger = [
        row for path in (quickstart / "ledger").rglob("*.parquet") for row in _rows(path, None)
    ]
    langs = {row["lang"] for row in ledger if row["action"] != "error"}
    assert langs == {"en", "de", "fr", "es", "it", "pt", "ja", "hi", "ar"}
    lost_in_the_damaged_archive = 3
    written = sum(
        len(yaml.safe_load(path.read_text(encoding="utf-8"))["documents"])
        for path in SAMPLE.glob("*.yaml")
    )
    policies = len(list((PACKAGE_FOLDER / "sample" / "corpus" / "policies").iterdir()))
    errors = sum(row["action"] == "error" for row in ledger)
    assert len(ledger) - errors == written - lost_in_the_damaged_archive + policies


def test_quickstart_explains_instead_of_dropping(quickstart: Path) -> None:
    """Some harmful documents got educational context; none was dropped but to be held out."""
    rows = [
        row
        for path in (quickstart / "data").rglob("*.parquet")
        for row in _rows(path, ["action", "text", "spans"])
    ]
    explained = [row for row in rows if row["action"] == "contextualize"]
    assert explained
    assert all(any(s["kind"] == "context" for s in row["spans"]) for row in explained)
    totals = orjson.loads((quickstart / "_rai" / "totals.json").read_bytes())
    assert totals["counts"]["drop"] == totals["tables"]["rule"].get("unseen_arm", 0)


def test_shared_data_manifest_names_every_licence(monkeypatch: pytest.MonkeyPatch) -> None:
    """The manifest over real data is valid wherever the data lies."""
    monkeypatch.setenv("RAI_DATA", "/nowhere")
    manifest = load_manifest(PACKAGE_FOLDER / "shared_data.yaml")
    assert all(corpus.license for corpus in manifest.corpora)


def _rows(path: Path, columns: list[str] | None) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = pq.read_table(path, columns=columns).to_pylist()
    return rows
