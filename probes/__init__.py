"""What a model learned: suites, scoring and statistics."""
