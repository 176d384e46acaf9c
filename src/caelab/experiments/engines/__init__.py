"""Engines train the runs of a study: in this process, in local processes, or on a Ray cluster.

Every engine writes the same files to a run directory. On the same processor and with the same
number of threads, the weights are the same, too.
"""
