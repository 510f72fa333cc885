"""`raicurate manifest`: build, verify or compare manifests."""

import argparse
from pathlib import Path

import yaml

from raicurate.corpora_manifests.errors import ContractError, ManifestError, UsageError
from raicurate.corpora_manifests.load import json_schema, load_manifest
from raicurate.pipelines import storage
from raicurate.pipelines.cli import print_json
from raicurate.pipelines.manifest_files import deviations, file_entries, with_files
from raicurate.pipelines.policy_diff import policy_diff
from raicurate.pipelines.snapshots import current_snapshot


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    verbs = parser.add_subparsers(dest="verb", required=True)
    build = verbs.add_parser("build", help="fill in sizes, digests and rows of all files")
    build.add_argument("manifest", type=Path, metavar="MANIFEST")
    build.add_argument("--out", type=Path, required=True, metavar="FILE")
    verify = verbs.add_parser("verify", help="check all files against the manifest")
    verify.add_argument("manifest", type=Path, metavar="MANIFEST")
    verify.add_argument("--deep", action="store_true", help="count the rows as well")
    diff = verbs.add_parser("diff", help="say which documents another policy treats otherwise")
    diff.add_argument("old", type=Path, metavar="OLD")
    diff.add_argument("new", type=Path, metavar="NEW")
    diff.add_argument("--out", required=True, metavar="DIR", help="an output made under OLD")
    diff.add_argument("--json", action="store_true", help="print JSON")
    verbs.add_parser("schema", help="print the JSON Schema of manifests, for editors")


def execute(options: argparse.Namespace) -> int:
    """Runs the command."""
    if options.verb == "schema":
        print_json(json_schema())
        return 0
    return {"build": _build, "verify": _verify, "diff": _diff}[options.verb](options)


def _build(options: argparse.Namespace) -> int:
    manifest = load_manifest(options.manifest)
    entries = [file_entries(corpus, manifest) for corpus in manifest.corpora]
    content = yaml.safe_load(options.manifest.read_text(encoding="utf-8"))
    text = yaml.safe_dump(with_files(content, entries), sort_keys=False, allow_unicode=True)
    storage.write_bytes(str(options.out), text.encode())
    files = sum(len(of_corpus) for of_corpus in entries)
    print(f"{files} files in {len(entries)} corpora, written to {options.out}")
    return 0


def _verify(options: argparse.Namespace) -> int:
    manifest = load_manifest(options.manifest)
    if not any(corpus.files for corpus in manifest.corpora):
        raise ManifestError(
            f"{options.manifest} promises no files, so there is nothing to verify; run "
            "`raicurate manifest build` first"
        )
    found = list(deviations(manifest, options.deep))
    for deviation in found:
        print(f"{deviation.corpus}: {deviation.path}: {deviation.problem}")
    if found:
        raise ContractError(
            f"{len(found)} file(s) are not what {options.manifest} promises; restore them, or "
            "accept them with `raicurate manifest build`"
        )
    print(f"all {sum(len(corpus.files) for corpus in manifest.corpora)} files are as promised")
    return 0


def _diff(options: argparse.Namespace) -> int:
    out = storage.absolute(options.out)
    snapshot = current_snapshot(out)
    if snapshot is None:
        raise UsageError(f"{options.out} holds no snapshot, so there are no stored annotations")
    diff = policy_diff(
        load_manifest(options.old), load_manifest(options.new), out, snapshot.receipts
    )
    if options.json:
        print_json(diff.to_plain())
        return 0
    changed = sum(diff.actions.values())
    print(f"{changed} of {diff.documents} documents change their action")
    print(f"{diff.treatments} keep it, but change rule, severity, context or what is withheld")
    for title, counts in (
        ("by action", diff.actions),
        ("by hazard", diff.by_hazard),
        ("by language", diff.by_language),
        ("by corpus", diff.by_corpus),
    ):
        if counts:
            print(f"\n{title}:")
            for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
                print(f"  {name:<60} {count:>8}")
    for change, ids in sorted(diff.examples.items()):
        print(f"\nfor example, {change}: {', '.join(ids)}")
    return 0
