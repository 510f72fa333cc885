"""How a run runs: units, reading, committing, Beam graphs and the command line."""
