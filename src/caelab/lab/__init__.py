"""The lab: the three exercises as studies within a budget, and their report."""
