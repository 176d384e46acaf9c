"""Reports that answer the exercises from run directories and study results."""
