"""Engines train the runs of a study: in this process, in local processes, or on a Ray cluster.

Whatever the engine, a run leaves the same run directory, and with the same number of threads the
same weights.
"""
