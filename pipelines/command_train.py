"""`raicurate train`: train the harm classifier from a manifest of labelled sets."""

import argparse
from pathlib import Path

from raicurate.corpora_manifests.classifier import load_classifier
from raicurate.pipelines.cli import print_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("manifest", type=Path, metavar="MANIFEST")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="model folder")
    parser.add_argument("--json", action="store_true", help="print JSON")


def execute(options: argparse.Namespace) -> int:
    """Runs the command. The same manifest and data give the same model, byte for byte."""
    from raicurate.transforms.train_harm import train

    description = train(load_classifier(options.manifest), options.out)
    if options.json:
        print_json(description)
    else:
        size = sum(path.stat().st_size for path in options.out.iterdir())
        print(f"model of {size / 1e6:.1f} MB in {options.out}; model.json holds what was measured")
    return 0
