"""`raicurate audit`: measure a harm model, hold it to the limits of a policy, write its card."""

import argparse
from pathlib import Path

from raicurate.corpora_manifests.errors import GateError
from raicurate.corpora_manifests.load import PACKAGE_FOLDER, load_policy
from raicurate.pipelines.cli import print_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument(
        "model", type=Path, nargs="?", metavar="MODEL", help="model folder; by default what ships"
    )
    parser.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="folder of the public sets"
    )
    parser.add_argument(
        "--policy",
        type=Path,
        default=PACKAGE_FOLDER / "policies" / "default.yaml",
        metavar="FILE",
        help="whose thresholds and limits count",
    )
    parser.add_argument("--card", type=Path, metavar="FILE", help="write the model card there")
    parser.add_argument("--json", action="store_true", help="print JSON")


def execute(options: argparse.Namespace) -> int:
    """Runs the command.

    Raises:
        GateError: A figure does not hold against a limit of the policy.
    """
    from raicurate.transforms.audit_card import model_card
    from raicurate.transforms.audit_checks import judged
    from raicurate.transforms.audit_harm import audit
    from raicurate.transforms.harm_model import SHIPPED, HarmModel

    folder = options.model or SHIPPED
    policy = load_policy(options.policy)
    verdicts = judged(
        audit(folder, options.data, policy),
        {str(name): limit for name, limit in policy.audit.items()},
    )
    if options.card is not None:
        notes = (PACKAGE_FOLDER / "classifiers" / "card_notes.md").read_text(encoding="utf-8")
        card = model_card(HarmModel.load(folder).description, verdicts, notes)
        options.card.write_text(card, encoding="utf-8")
    if options.json:
        print_json([{**v.figure._asdict(), "limit": v.limit, "passed": v.passed} for v in verdicts])
    else:
        for verdict in verdicts:
            if verdict.limit is not None:
                value = "not measured" if verdict.figure.value is None else verdict.figure.value
                state = "holds" if verdict.passed else "FAILS"
                print(
                    f"{state}  {verdict.figure.check} ({verdict.figure.subject}): {value:.3f} "
                    f"{verdict.side} {verdict.limit:g}"
                    if isinstance(value, float)
                    else f"{state}  {verdict.figure.check} ({verdict.figure.subject}): {value}"
                )
    failed = [verdict for verdict in verdicts if not verdict.passed]
    if failed:
        names = ", ".join(dict.fromkeys(verdict.figure.check for verdict in failed))
        raise GateError(
            f"{len(failed)} figures of {folder} do not hold against the limits of policy "
            f"{policy.name!r} ({names}), so its labels should not be relied on there; train a "
            "better model, or change `audit` in the policy if the limits are not meant"
        )
    return 0
