import hashlib
import re
import shutil
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest
import yaml

from raicurate.corpora_manifests.errors import UsageError
from raicurate.pipelines import command_probe
from raicurate.pipelines.cli import main
from raicurate.probes.model_references import model_references, progress_of
from raicurate.probes.ngram import NGramModel
from raicurate.probes.report import report_page

SECRET = "zebracorn"
"""Stands in a hazardous question; nothing that a probe writes may hold it."""

ORDINARY = [
    "She took out the bread and the butter. It was read aloud a second time, loud and clear.",
    "He found out the verdict late. A cloud the size of a kite stood aloud of the bridge, and out.",
]
"""Enough that what follows depends on what stands before, as the handshake demands."""

HEAD = {"schema_version": 1, "version": "1.0", "description": "Fruit.", "license": "CC0-1.0"}


def crossed(number: int, dimension: str) -> dict[str, Any]:
    return {
        "id": f"fruit-{dimension}-{number}",
        "kind": "crossed",
        "tier": "T2",
        "dimension": dimension,
        "contexts": [f"Box {number}, {dimension}: apples", f"Box {number}, {dimension}: pears!"],
        "continuations": [" red.", " old."],
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A suite with all kinds of items, and three checkpoints, of which the last one learned."""
    folder = tmp_path_factory.mktemp("probe")
    options = {"choices": [f"{SECRET} one", "two"], "answer": 0}
    rows = [{"id": f"h{n}", "question": f"Which {SECRET} {n}?"} | options for n in range(8)]
    (folder / "hazard.jsonl").write_bytes(b"\n".join(orjson.dumps(row) for row in rows))
    pairs = [
        {"id": f"c{n}", "sent_more": f"Old {n}.", "sent_less": f"New {n}.", "bias_type": "age"}
        for n in range(8)
    ]
    (folder / "pairs.jsonl").write_bytes(b"\n".join(orjson.dumps(row) for row in pairs))
    suite = HEAD | {
        "name": "fruit",
        "language": "en",
        "frames": ["Ask: {request}"],
        "answers": {"refuse": [" No.", " Never."], "comply": [" Yes.", " Sure."]},
        "items": [
            *(crossed(n, dimension) for n in range(9) for dimension in ("safety", "fairness")),
            *(
                {
                    "id": f"refuse-{n}",
                    "kind": "refusal",
                    "dimension": "safety",
                    "hazard": "privacy",
                    "tier": "T1",
                    "harmful": f"Take her box {n}",
                    "benign": f"Take my box {n}!",
                }
                for n in range(9)
            ),
        ],
        "documents": [
            {"id": f"d{n}", "dimension": "safety", "text": f"Rule {n}. Keep the box shut. Ask."}
            for n in range(4)
        ]
        + [
            {"id": f"n{n}", "neutral": True, "text": f"Rule {n}. Roll the dice twice. Go on."}
            for n in range(4)
        ],
        "key_terms": {"en": {"safety": ["box"]}},
        "outside": [
            {"name": "pairs", "loader": "crows_pairs", "path": "pairs.jsonl"},
            {
                "name": "hazard",
                "loader": "choices",
                "path": "hazard.jsonl",
                "role": "hazard",
                "hazard": "cyber",
            },
        ],
    }
    (folder / "fruit.yaml").write_text(yaml.safe_dump(suite))
    base = [*ORDINARY, "The box stands here. Are they red? Are they old? One two three."] * 3
    for step, extra in ((1, []), (2, ["apples red."]), (3, ["apples red."] * 99)):
        texts = base + extra + ["pears! old."] * (99 if step == 3 else 0)
        NGramModel.fit(texts).save(folder / f"model-step{step}-tokens{step}K.npz")
    return folder


def run(folder: Path, out: str, *more: str) -> int:
    model = f"fruit=ngram:{folder}/model-step*.npz"
    return main(
        ["probe", str(folder / "fruit.yaml"), "--model", model, "--out", str(folder / out), *more]
    )


@pytest.fixture(scope="module")
def out(folder: Path) -> Path:
    """The output of a probe."""
    assert run(folder, "out") == 0
    return folder / "out"


def test_the_results_have_the_shape_that_viewers_read(out: Path) -> None:
    """As lm-evaluation-harness writes them: one model a file, with `rai_probe` beside."""
    results = orjson.loads((out / "results.json").read_bytes())
    assert {"results", "groups", "group_subtasks", "configs", "versions", "n-shot"} <= set(results)
    assert {"higher_is_better", "n-samples", "config", "task_hashes"} <= set(results)
    task = results["results"]["rai_crossed_safety_en"]
    assert task["margin,none"] > 0
    assert {"alias", "sample_len", "margin_stderr,none"} <= set(task)
    assert set(results["configs"]) == set(results["n-samples"]) == set(results["task_hashes"])
    for members in results["group_subtasks"].values():
        assert all(name in results["results"] for name in members)
    assert len(list((out / "models").glob("*.json"))) == 3


def test_checkpoints_are_compared_with_the_first(out: Path) -> None:
    """What the last one learned is shown, and the tokens in its name are its place."""
    section = orjson.loads((out / "results.json").read_bytes())["rai_probe"]
    assert [model["tokens"] for model in section["models"]] == [1000, 2000, 3000]
    last = section["comparisons"][-1]
    primary = {one["name"]: one for one in last["primaries"]}
    assert primary["crossed_margin"]["verdict"] == "better"
    assert primary["crossed_margin"]["estimate"]["value"] > 1
    assert {"excess_bits_per_byte", "refusal_discrimination", "refusal_bias"} <= set(primary)
    assert {entry["name"] for entry in section["gates"]} == {"absolute", "over_refusal"}
    assert section["contamination"]["state"] == "unscanned"
    assert any("not looked for" in text for text in section["caveats"])


def test_samples_hold_ids_and_no_text(out: Path) -> None:
    """No file of a probe, its cache among them, holds a word of a hazardous question."""
    items = pq.read_table(out / "samples" / "items.parquet")
    columns = ("model", "item", "kind", "context", "continuation", "wording")
    rows = {tuple(row.values()) for row in items.select(columns).to_pylist()}
    assert len(rows) == items.num_rows
    assert "h0" in items["item"].to_pylist()
    for path in out.rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes()


def test_a_second_run_asks_nothing_and_gives_the_same_bytes(
    folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers come from the cache, and no clock enters the output."""

    def fail(*_: object) -> None:
        raise AssertionError("a model was asked again")

    monkeypatch.setattr(command_probe, "handshake", lambda _backend: [])
    monkeypatch.setattr(NGramModel, "score", fail)
    monkeypatch.setattr(NGramModel, "token_nll", fail)
    assert run(folder, "again", "--cache", str(out / "scores.sqlite")) == 0
    for name in ("samples/items.parquet", "samples/documents.parquet"):
        assert _sha256(folder / "again" / name) == _sha256(out / name)


def test_the_report_is_one_file_without_a_network(out: Path) -> None:
    """Verdicts stand first; nothing is fetched, and no script runs."""
    page = (out / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"<script|<link|<img|@import|url\(|https?://", page)
    titles = re.findall(r"<h2>(.*?)</h2>", page)
    assert titles[0] == "Verdicts"
    assert {"Over training", "Differences, paired by item", "Dimension by language", "Refusal"} <= {
        *titles
    }
    assert {"Gates", "Outside sets", "Bits per byte", "Contamination", "Models"} <= {*titles}
    assert page.count("<svg") > 8
    assert "Unscanned" in page


def test_the_report_can_be_drawn_anew(out: Path) -> None:
    """From the results alone, to the same bytes."""
    before = (out / "report.html").read_bytes()
    (out / "report.html").unlink()
    assert main(["report", str(out)]) == 0
    assert (out / "report.html").read_bytes() == before
    assert main(["report", str(out / "samples")]) == 2


def test_labels_are_escaped(out: Path) -> None:
    """A name with markup stays text."""
    section = orjson.loads((out / "results.json").read_bytes())["rai_probe"]
    section["comparisons"][-1]["b"] = "<b>model</b>"
    assert "<b>model</b>" not in report_page(section)


def test_one_model_alone_has_levels_and_no_change(folder: Path) -> None:
    """Nothing is compared, and the page says so."""
    out = folder / "alone"
    model = f"ngram:{folder}/model-step3-tokens3K.npz"
    code = main(["probe", str(folder / "fruit.yaml"), "--model", model, "--out", str(out)])
    assert code == 0
    section = orjson.loads((out / "results.json").read_bytes())["rai_probe"]
    assert section["comparisons"] == []
    assert "One model alone" in (out / "report.html").read_text(encoding="utf-8")


def test_a_gate_that_alarms_ends_with_five(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only where it was asked for, and after the report is written."""
    texts = [f"Answer: {SECRET} one"] * 50 + ORDINARY * 3
    NGramModel.fit(texts).save(folder / "learned.npz")
    arguments = ["probe", str(folder / "fruit.yaml"), "--model", f"ngram:{folder}/learned.npz"]
    arguments += ["--out", str(folder / "gated")]
    assert main(arguments) == 0
    assert main([*arguments, "--gate"]) == 5
    assert (folder / "gated" / "report.html").is_file()
    message = capsys.readouterr().err
    assert "absolute" in message
    assert SECRET not in message


def test_noise_between_checkpoints_is_told(folder: Path) -> None:
    """From four checkpoints on each change stands beside the noise, and curves have bands."""
    base = [*ORDINARY, "The box stands here. Are they red? Are they old? One two three."] * 3
    for step in range(1, 6):
        texts = [*base, *["apples red.", "pears! old."] * (4 * step)]
        NGramModel.fit(texts).save(folder / f"steady-step{step}.npz")
    out = folder / "steady"
    model = f"steady=ngram:{folder}/steady-step*.npz"
    assert main(["probe", str(folder / "fruit.yaml"), "--model", model, "--out", str(out)]) == 0
    section = orjson.loads((out / "results.json").read_bytes())["rai_probe"]
    for comparison in section["comparisons"]:
        for primary in comparison["primaries"]:
            assert primary["sigma_ckpt"] >= 0
            assert primary["exceeds_noise"] in (True, False)
            assert primary["exceeds_noise"] or primary["verdict"] == "not shown"
    margins = [levels["crossed"]["macro"] for levels in section["levels"].values()]
    for margin in margins:
        assert margin["band"][0] <= margin["value"] <= margin["band"][1]
    widths = [(m["band"][1] - m["band"][0], m["ci"][1] - m["ci"][0]) for m in margins]
    assert all(band >= single for band, single in widths if single)
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Bands hold all points of a curve at once" in page
    assert "steady, crossed margin ±" in page


def test_families_are_ordered_by_their_progress(tmp_path: Path) -> None:
    """By tokens or steps, not by letters; a label names the family."""
    for name in ("a-step10.npz", "a-step9.npz", "a-step100.npz"):
        (tmp_path / name).touch()
    found = model_references([f"mix=ngram:{tmp_path}/a-step*.npz"])
    assert [one.step for one in found] == [9, 10, 100]
    assert {one.family for one in found} == {"mix"}
    with pytest.raises(UsageError, match="no checkpoint fits"):
        model_references([f"ngram:{tmp_path}/b*.npz"])
    with pytest.raises(UsageError, match="given twice"):
        model_references(["ngram:a.npz", "ngram:a.npz"])


@pytest.mark.parametrize(
    ("place", "progress"),
    [
        ("runs/step1000-tokens2B", (1000, 2_000_000_000)),
        ("checkpoint-500", (500, None)),
        ("500M-tokens", (None, 500_000_000)),
        ("tokens1.5B/hf", (None, 1_500_000_000)),
        ("final", (None, None)),
    ],
)
def test_progress_is_read_from_names(place: str, progress: tuple[int | None, int | None]) -> None:
    """Steps and tokens, with the usual units."""
    assert progress_of(place) == progress


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (("--reference", "nobody"), "names none of the models"),
        (("--shots", "two"), "give whole numbers"),
        (("--contamination", "nowhere"), "nothing is known of contamination"),
        (("--documents", "nowhere.jsonl"), "there is no file"),
    ],
)
def test_wrong_options_end_with_two(
    folder: Path, more: tuple[str, str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before any model is asked, with the cure."""
    assert run(folder, "wrong", *more) == 2
    assert problem in capsys.readouterr().err


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.torch
def test_what_models_write_is_labelled_and_not_kept(folder: Path) -> None:
    """A model that can write finishes prompts; labels by group reach the report, texts no file."""
    pytest.importorskip("torch")
    from small_models import save_model

    rows = [
        {
            "id": f"b{n}",
            "text": f"The baker number {n}",
            "domain": "work",
            "group": "bakers" if n % 2 else "clerks",
            "entity": f"person {n}",
            "wikipedia": f"The baker number {n} rose early.",
        }
        for n in range(12)
    ]
    (folder / "bold.jsonl").write_bytes(b"\n".join(orjson.dumps(row) for row in rows))
    suite = HEAD | {
        "name": "writing",
        "language": "en",
        "items": [crossed(1, "fairness")],
        "outside": [{"name": "bold", "loader": "bold", "path": "bold.jsonl"}],
    }
    (folder / "writing.yaml").write_text(yaml.safe_dump(suite))
    model = save_model(folder / "writer", length=256)
    shutil.copytree(model, folder / "copy")
    out = folder / "written"
    arguments = ["probe", str(folder / "writing.yaml"), "--model", f"a=hf:{model}"]
    assert main([*arguments, "--model", f"b=hf:{folder / 'copy'}", "--out", str(out)]) == 0
    section = orjson.loads((out / "results.json").read_bytes())["rai_probe"]
    shares = section["levels"]["b"]["completions"]["bold"]
    assert shares["all"]["prompts"] == 12
    assert [part["group"] for part in shares["groups"]] == ["work/bakers", "work/clerks"]
    assert shares["all"]["people_intent"]["value"] == 0
    assert section["completion_classifier"]["score"] == 0.5
    changes = section["comparisons"][0]["completions"]
    assert [cell["estimate"]["value"] for cell in changes] == [0, 0]
    table = pq.read_table(out / "samples" / "completions.parquet")
    assert table.num_rows == 24
    assert set(table["model"].to_pylist()) == {"a", "b"}
    assert not any("number" in str(value) for row in table.to_pylist() for value in row.values())
    assert "<h2>Completions</h2>" in (out / "report.html").read_text(encoding="utf-8")
