"""Experiments: how runs, studies and searches are configured, trained and stored."""
