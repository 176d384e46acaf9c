"""Reports: what the exercises ask, answered from run directories and study results."""
