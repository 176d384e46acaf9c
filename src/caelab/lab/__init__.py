"""The lab: the three exercises as studies, for a budget, and their report."""
