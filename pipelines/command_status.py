"""`raicurate status`: say what an output holds and whether it is complete."""

import argparse

from raicurate.corpora_manifests.errors import UsageError
from raicurate.pipelines import storage
from raicurate.pipelines.cli import print_json
from raicurate.pipelines.run import expected_damage, resolved_manifest
from raicurate.pipelines.snapshots import current_snapshot, numbers
from raicurate.pipelines.text_report import totals_lines
from raicurate.pipelines.totals import Totals


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("out", metavar="DIR")
    parser.add_argument("--json", action="store_true", help="print JSON")


def execute(options: argparse.Namespace) -> int:
    """Runs the command."""
    out = storage.absolute(options.out)
    snapshot = current_snapshot(out)
    if snapshot is None:
        raise UsageError(f"{options.out} holds no snapshot; finish a run there first")
    success = storage.exists(storage.join(out, "_SUCCESS"))
    totals = Totals.of(snapshot.receipts, expected_damage(resolved_manifest(out)))
    if options.json:
        print_json(
            {
                "snapshot": snapshot.number,
                "snapshots": numbers(out),
                "manifest": snapshot.manifest,
                "policy": snapshot.policy,
                "success": success,
                "totals": totals.to_plain(),
            }
        )
        return 0
    state = "complete" if success else "partial, or a run is under way (no _SUCCESS)"
    print(f"snapshot   {snapshot.number} of {numbers(out)}, {state}")
    print(f"manifest   {snapshot.manifest['name']} {snapshot.manifest['version']}")
    print(f"policy     {snapshot.policy['name']} {snapshot.policy['version']}")
    tables = (
        "rule", "action_by_hazard", "action_by_language", "cascade", "unmeasured_language",
        "personal_data", "step_failed", "rejection", "stated_group",
        "identity_mentions",
        "model_context", "model_tokens", "pairs", "pairs_left_out", "error_type",
    )  # fmt: skip
    print("\n".join(totals_lines(totals, tables)))
    return 0
