"""Where the runs of a study are trained: this process, several local processes, or a Ray cluster.

An engine is given jobs and tells what happens to them. Whatever it is, a job leaves the same run
directory, and with the same number of threads the same weights.
"""

from caelab.experiments.engines.job import Engine, Event, Failed, Finished, Job, Started

__all__ = ["Engine", "Event", "Failed", "Finished", "Job", "Started"]
