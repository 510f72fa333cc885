"""`raicurate plan`: say what a run would do, and why, without doing it."""

import argparse

import orjson

from raicurate.corpora_manifests.load import load_manifest
from raicurate.pipelines import command_run
from raicurate.pipelines.cli import print_json
from raicurate.pipelines.plan import make_plan
from raicurate.pipelines.run import make_config
from raicurate.pipelines.text_report import plan_lines


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    command_run.add_config_arguments(parser)


def execute(options: argparse.Namespace) -> int:
    """Runs the command."""
    manifest = load_manifest(options.manifest, options.overrides)
    config = make_config(manifest, options.out, limit=options.limit, sample=options.sample)
    plan = make_plan(config)
    if options.json:
        print_json(orjson.loads(plan.to_json()))
    else:
        print("\n".join(plan_lines(plan)))
    return 0
