"""Experiments: a run's configuration, its directory, and the run itself."""
