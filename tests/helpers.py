"""What tests build on: small corpora, a transparent annotator, digests of outputs."""

import gzip
import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from raicurate.corpora_manifests.load import PACKAGE_FOLDER, absolute_paths, load_policy, validated
from raicurate.corpora_manifests.manifest import Manifest
from raicurate.pipelines.run import RunResult
from raicurate.pipelines.runners import BeamExecutor, Executor, in_process
from raicurate.transforms import registry
from raicurate.transforms.schema import ANNOTATED_HAZARD, PERSONAL_DATA

EXECUTORS: dict[str, Executor] = {
    "in_process": in_process,
    "beam": BeamExecutor(workers=1),
    "beam_replayed": BeamExecutor(workers=1, bundle_repeat=2),
}

calls: list[str] = []
"""The id of every document that the transparent annotator looked at."""


@registry.register("transparent@1")
class TransparentAnnotator(registry.Annotator):
    """Labels by words that stand in the text, so that tests can say what they expect.

    `HAZARD=hate/intent/0.9` is a hazard with stance and score, `OPERATIONAL`, `TARGET` and `THREAT`
    its flags, `PHONE` personal data, and `BROKEN` makes the annotator fail.
    """

    columns = ("lang", "harm_score", "harm_model", "hazards", "personal_data")

    def __init__(self, salt: str = "") -> None:
        self.salt = salt

    def parameters(self) -> dict[str, Any]:
        return {"salt": self.salt} if self.salt else {}

    def annotate(self, batch: pa.RecordBatch) -> list[pa.Array]:
        texts = batch.column("text").to_pylist()
        if any("BROKEN" in text for text in texts):
            raise ValueError(f"cannot annotate {texts[0]}")
        calls.extend(batch.column("id").to_pylist())
        hazards = [_hazards(text) for text in texts]
        scores = [max((entry["score"] for entry in found), default=0.0) for found in hazards]
        data = [
            [{"start": text.index("PHONE"), "end": text.index("PHONE") + 5, "kind": "phone"}]
            if "PHONE" in text
            else []
            for text in texts
        ]
        return [
            pa.array(["en"] * len(texts)),
            pa.array(scores, pa.float32()),
            pa.array(["transparent"] * len(texts)),
            pa.array(hazards, pa.list_(ANNOTATED_HAZARD)),
            pa.array(data, pa.list_(PERSONAL_DATA)),
        ]


def _hazards(text: str) -> list[dict[str, Any]]:
    found = []
    for word in text.split():
        if word.startswith("HAZARD="):
            hazard, stance, score = word.removeprefix("HAZARD=").split("/")
            found.append(
                {
                    "hazard": hazard,
                    "stance": stance,
                    "operational": "OPERATIONAL" in text,
                    "score": float(score),
                    "start": 0,
                    "end": len(text),
                    "target": "TARGET" in text,
                    "threat": "THREAT" in text,
                }
            )
    return found


Records = Iterable[dict[str, Any]]


def write_jsonl(path: Path, records: Records) -> Path:
    """Writes records as JSON lines, compressed by the suffix."""
    content = b"".join(orjson.dumps(record) + b"\n" for record in records)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
    return path


def documents(count: int, start: int = 0) -> list[dict[str, Any]]:
    """Returns documents of every kind, recurring every ten."""
    kinds = [
        "Bread rises overnight in a cool kitchen.",
        "They are all worthless and should leave. HAZARD=hate/intent/0.9 TARGET",
        "The museum shows how such hate grew. HAZARD=hate/topical/0.8",
        "Call me at PHONE about the garden.",
        "I was insulted at school and feel low. HAZARD=harassment/disclosure/0.9",
        "Mix the parts. HAZARD=indiscriminate_weapons/intent/0.9 OPERATIONAL",
        "A record only. HAZARD=child_sexual_exploitation/topical/0.9",
        "The earth is a plate, wake up. HAZARD=misinformation/intent/0.6",
        "Mild words. HAZARD=harassment/intent/0.3",
        "Trains run every ten minutes.",
    ]
    return [
        {"id": f"doc-{number:05d}", "text": f"{kinds[number % len(kinds)]} Number {number}."}
        for number in range(start, start + count)
    ]


def make_manifest(folder: Path, **changes: Any) -> Manifest:
    """Returns a manifest over `folder/*.jsonl*` under the default policy."""
    content: dict[str, Any] = {
        "name": "test",
        "policy": load_policy(PACKAGE_FOLDER / "policies" / "default.yaml").model_dump(mode="json"),
        "corpora": [
            {
                "name": "web",
                "root": str(folder),
                "paths": ["*.jsonl*"],
                "license": "CC0-1.0",
                "added": "2026-01-01",
            }
        ],
        "annotators": [{"use": "transparent@1"}],
        "output": {"restricted": "{out}.restricted", "unit_bytes": 1024, "error_budget": 1.0},
    }
    for name, value in changes.items():
        content[name] = {**content[name], **value} if name in {"output", "policy"} else value
    return absolute_paths(validated(Manifest, content, "test"), folder)


Curate = Callable[..., RunResult]


def rows(folder: Path) -> list[dict[str, Any]]:
    """Returns all rows of the Parquet files below a folder, sorted by id."""
    found = [row for path in folder.rglob("*.parquet") for row in pq.read_table(path).to_pylist()]
    return sorted(found, key=lambda row: (row["id"] or "", str(row)))


def parquet_digests(*folders: Path) -> dict[str, str]:
    """Returns the SHA-256 of every Parquet file that stands in a layer, by path."""
    return {
        f"{index}/{path.relative_to(folder)}": hashlib.sha256(path.read_bytes()).hexdigest()
        for index, folder in enumerate(folders)
        for path in sorted(folder.rglob("*.parquet"))
        if not {"superseded", "_superseded"} & set(path.parts)
    }


def output_digests(out: Path) -> dict[str, str]:
    """Returns the digests of all parts of an output and its restricted tier."""
    return parquet_digests(out, out.with_name(out.name + ".restricted"))
