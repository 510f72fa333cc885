"""`raicurate gc`: remove what no kept snapshot needs."""

import argparse
from typing import Any

from raicurate.corpora_manifests.errors import UsageError
from raicurate.corpora_manifests.exercises import Rewording
from raicurate.corpora_manifests.language_model import LanguageModel
from raicurate.corpora_manifests.load import validated
from raicurate.exercise_templates.prompts import load_prompt
from raicurate.pipelines import storage
from raicurate.pipelines.answer_cache import unneeded_answers
from raicurate.pipelines.cli import print_json
from raicurate.pipelines.model_rewording import rewording_configuration
from raicurate.pipelines.run import resolved_manifest, restricted_tier
from raicurate.pipelines.snapshots import current_snapshot, load_snapshot, numbers, unneeded_files
from raicurate.transforms import registry
from raicurate.transforms.llm_context import model_digest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("out", metavar="DIR")
    parser.add_argument(
        "--keep", type=int, metavar="N",
        help="earlier snapshots to keep beside the current one (default: as in the manifest)",
    )  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="only list what would go")
    parser.add_argument("--json", action="store_true", help="print JSON")


def execute(options: argparse.Namespace) -> int:
    """Runs the command."""
    out = storage.absolute(options.out)
    with storage.exclusive(out):
        current = current_snapshot(out)
        if current is None:
            raise UsageError(f"{options.out} holds no snapshot, so nothing can be told needless")
        manifest = resolved_manifest(out)
        keep = manifest["output"]["keep_snapshots"] if options.keep is None else options.keep
        earlier = [number for number in numbers(out) if number < current.number]
        kept = [current, *(load_snapshot(out, number) for number in earlier[-keep:] if keep)]
        unneeded = unneeded_files(out, restricted_tier(out), kept)
        unneeded += unneeded_answers(out, _configurations(manifest))
        size = sum(storage.file_size(path) or 0 for path in unneeded)
        if not options.dry_run:
            for path in unneeded:
                storage.delete(path)
    if options.json:
        print_json({"removed": unneeded, "bytes": size, "dry_run": options.dry_run})
    else:
        verb = "would be removed" if options.dry_run else "removed"
        print(f"{len(unneeded)} file(s), {size / 1e6:.1f} MB {verb}; {len(kept)} snapshot(s) kept")
    return 0


def _configurations(manifest: dict[str, Any]) -> list[str]:
    """Returns the digests of the models that a manifest names."""
    found = []
    values = manifest.get("language_model")
    if values is not None:
        settings = validated(LanguageModel, values, "manifest.resolved.yaml")
        found.append(model_digest(settings, load_prompt(settings.prompt)))
    values = manifest.get("exercises", {}).get("rewording")
    if values is not None:
        found.append(
            rewording_configuration(validated(Rewording, values, "manifest.resolved.yaml"))
        )
    for spec in manifest["annotators"]:
        if spec["use"] == "llm_judge@1":
            judge = registry.create(spec["use"], spec["with"])
            found.append(str(judge.model_digest()))
    return found
