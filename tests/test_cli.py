"""The command line: exit codes, output for people and for programs."""

import gzip
import json
from pathlib import Path

import pytest
import yaml
from helpers import documents, make_manifest, write_jsonl

from raicurate.corpora_manifests.load import dump
from raicurate.pipelines.cli import COMMANDS, main


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """A manifest over two shards, as a file."""
    for shard in range(2):
        write_jsonl(tmp_path / "in" / f"{shard}.jsonl", documents(30, shard * 30))
    path = tmp_path / "manifest.yaml"
    path.write_text(dump(make_manifest(tmp_path / "in")))
    return path


def _run(manifest: Path, *arguments: str) -> int:
    return main(["run", str(manifest), "--out", str(manifest.parent / "out"), *arguments])


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` works for each command and says what it does."""
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert COMMANDS[command].split()[0].lower() in capsys.readouterr().out.lower()


def test_run_plan_status_trace(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run ends with 0 and totals; plan, status and trace tell of it, also as JSON."""
    out = str(manifest.parent / "out")
    assert main(["plan", str(manifest), "--out", out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["summary"]["new"]["units"] == 6
    assert not Path(out).exists(), "a plan leaves nothing behind"
    assert _run(manifest, "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["totals"]["counts"]["documents_in"] == 60
    assert main(["plan", str(manifest), "--out", out]) == 0
    assert "carried over" in capsys.readouterr().out
    assert main(["status", out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["success"] is True
    assert main(["trace", out, "doc-00001", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["action"] == "contextualize"
    assert row["from"] == "0.jsonl, row 1"
    assert (Path(out) / row["stands in"]).is_file()
    assert main(["trace", out, "doc-00001", "--text"]) == 0
    assert "--- before ---\nThey are all worthless" in capsys.readouterr().out
    assert main(["trace", out, "nobody"]) == 4


def test_totals_are_printed(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The output for people ends with the sum that proves that nothing was lost."""
    assert _run(manifest) == 0
    printed = capsys.readouterr().out
    assert "Nothing lost: 60 documents in = 24 + 18 + 6 + 12 + 0 + 0 + 0" in printed


def test_wrong_manifest_exits_2(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown key ends with 2, and the message names it and the cure."""
    content = yaml.safe_load(manifest.read_text())
    content["corpora"][0]["licence"] = "MIT"
    manifest.write_text(yaml.safe_dump(content))
    assert _run(manifest) == 2
    error = capsys.readouterr().err
    assert "corpora.0.licence: this key is not known here" in error


def test_partial_run_exits_3(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Too many errors end with 3, after everything else was written."""
    (manifest.parent / "in" / "0.jsonl").write_bytes(b"{broken\n")
    assert _run(manifest, "--set", "output.error_budget=0.001") == 3
    assert "budget" in capsys.readouterr().err
    assert list((manifest.parent / "out" / "data").rglob("*.parquet"))


def test_missing_input_exits_4(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Input that is not there ends with 4, never with an empty success."""
    for path in (manifest.parent / "in").iterdir():
        path.unlink()
    assert _run(manifest) == 4
    assert "no file below" in capsys.readouterr().err


def test_set_and_limit(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--set` changes a value of the manifest, `--limit` takes a first look."""
    assert _run(manifest, "--set", "policy.thresholds.default=0.2", "--limit", "9", "--json") == 0
    counts = json.loads(capsys.readouterr().out)["totals"]["counts"]
    assert counts["documents_in"] == 9
    assert counts["contextualize"] == 4


def test_validate(manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files and outputs are checked; a changed part is found by `--deep`."""
    out = manifest.parent / "out"
    assert _run(manifest) == 0
    assert main(["validate", str(manifest), str(out), "--deep"]) == 0
    part = next((out / "data").rglob("*.parquet"))
    content = bytearray(part.read_bytes())
    content[100] ^= 1
    part.write_bytes(content)
    assert main(["validate", str(out)]) == 0, "size and rows are as before"
    assert main(["validate", str(out), "--deep"]) == 4
    assert "another content" in capsys.readouterr().err
    unknown = tmp_path / "x.yaml"
    unknown.write_text("a: 1\n")
    assert main(["validate", str(unknown)]) == 2


def test_annotate(manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files are annotated without a manifest; a bad line is told by exit code 3."""
    import pyarrow.parquet as pq

    path = manifest.parent / "in" / "0.jsonl"
    out = tmp_path / "labels.parquet"
    command = ["annotate", str(path), "--out", str(out), "--annotator", "transparent@1"]
    assert main(command) == 0
    table = pq.read_table(out)
    assert table.num_rows == 30
    assert "text" not in table.schema.names
    path.write_bytes(path.read_bytes() + b"{broken\n")
    assert main(command) == 3
    assert "invalid_json" in capsys.readouterr().err


def test_manifest_build_verify_diff(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Build fills in what verify checks; diff tells what another policy would change."""
    built = manifest.with_name("built.yaml")
    assert main(["manifest", "build", str(manifest), "--out", str(built)]) == 0
    files = yaml.safe_load(built.read_text())["corpora"][0]["files"]
    assert [entry["rows"] for entry in files] == [30, 30]
    assert main(["manifest", "verify", str(built), "--deep"]) == 0
    assert _run(built) == 0
    other = manifest.with_name("other.yaml")
    content = yaml.safe_load(manifest.read_text())
    content["policy"]["thresholds"]["default"] = 0.2
    other.write_text(yaml.safe_dump(content))
    capsys.readouterr()
    out = str(manifest.parent / "out")
    assert main(["manifest", "diff", str(built), str(other), "--out", out, "--json"]) == 0
    diff = json.loads(capsys.readouterr().out)
    assert diff["changed_actions"] == {"keep -> contextualize": 6}
    assert diff["by_hazard"] == {"harassment: keep -> contextualize": 6}
    assert diff["examples"]["keep -> contextualize"][0] == "doc-00008"
    write_jsonl(manifest.parent / "in" / "0.jsonl", documents(5))
    assert main(["manifest", "verify", str(built)]) == 4
    assert _run(built) == 4
    assert "instead of" in capsys.readouterr().err


def test_gc(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What no kept snapshot needs goes; what one needs stays."""
    out = manifest.parent / "out"
    assert _run(manifest) == 0
    assert _run(manifest, "--set", "policy.thresholds.default=0.2") == 0
    superseded = out / "_rai" / "superseded"
    assert list(superseded.rglob("*.parquet"))
    assert main(["gc", str(out), "--json"]) == 0
    assert list(superseded.rglob("*.parquet")), "the snapshot before is kept"
    capsys.readouterr()
    assert main(["gc", str(out), "--keep", "0", "--dry-run", "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)["removed"]
    assert list(superseded.rglob("*.parquet"))
    assert main(["gc", str(out), "--keep", "0"]) == 0
    assert planned
    assert not list(superseded.rglob("*.parquet"))
    assert main(["validate", str(out), "--deep"]) == 0


def test_interrupt_exits_130(
    manifest: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C ends with 130 and says that what was done stays done."""
    from raicurate.pipelines import command_run

    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command_run, "run", interrupted)
    assert _run(manifest) == 130
    assert "stays done" in capsys.readouterr().err


def test_export_to_dolma(manifest: Path, tmp_path: Path) -> None:
    """Annotations become Dolma attributes: a line for each document, in the order of the input."""
    out = manifest.parent / "out"
    assert _run(manifest, "--set", "output.unit_bytes=100000") == 0
    assert main(["export", str(out), "--to", str(tmp_path / "dolma")]) == 0
    (path,) = (tmp_path / "dolma" / "attributes" / "core" / "web").glob("*.jsonl.gz")
    lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    assert [line["id"] for line in lines] == [f"doc-{number:05d}" for number in range(60)]
    hate = lines[1]["attributes"]["core__harm__hate__intent"]
    assert hate[0][2] == pytest.approx(0.9)
    assert set(lines[1]) == {"id", "source", "attributes"}
