"""`raicurate train`: train the harm classifier, or the head of an encoder, from labelled sets."""

import argparse
from pathlib import Path

from raicurate.corpora_manifests.classifier import load_classifier
from raicurate.corpora_manifests.encoder import load_encoder_manifest
from raicurate.corpora_manifests.load import read_yaml
from raicurate.pipelines.cli import print_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("manifest", type=Path, metavar="MANIFEST")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="model folder")
    parser.add_argument("--json", action="store_true", help="print JSON")


def execute(options: argparse.Namespace) -> int:
    """Runs the command. The same manifest and data give the same model, byte for byte.

    The head of an encoder is the same on the same machine and versions only, as its embeddings are.
    """
    if "encoder" in read_yaml(options.manifest):
        return _train_head(options)
    from raicurate.transforms.train_harm import train

    description = train(load_classifier(options.manifest), options.out)
    if options.json:
        print_json(description)
    else:
        size = sum(path.stat().st_size for path in options.out.iterdir())
        print(f"model of {size / 1e6:.1f} MB in {options.out}; model.json holds what was measured")
    return 0


def _train_head(options: argparse.Namespace) -> int:
    from raicurate.transforms.train_encoder import train_head

    description = train_head(load_encoder_manifest(options.manifest), options.out)
    if options.json:
        print_json(description)
    else:
        for lang, found in description["measured"].items():
            before, after = found["before"]["auc"], found["after"]["auc"]
            print(
                f"{lang}: {found['in_band']} of {found['texts']} held-out texts in the band; AUC "
                f"there {before} before, {after} after the encoder"
            )
        print(f"head in {options.out}; head.json holds what was measured")
    return 0
