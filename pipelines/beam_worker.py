"""A worker process of a local Beam run: `python -m raicurate.pipelines.beam_worker`.

It is Beam's own worker; only its start is silent, since local workers share our stderr.
"""

import logging
import os
import sys


def main() -> None:
    """Runs the worker until the runner has no more work."""
    level = os.environ.get("RAI_LOG_LEVEL", "ERROR").upper()
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    # Beam lowers the level of the root logger before it knows the one that was asked for.
    logging.disable(logging.getLevelName(level) - 1)
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv)


if __name__ == "__main__":
    main()
