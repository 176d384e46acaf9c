"""The functions that ``import caelab`` offers, and what a notebook shows of their results.

describe ──► NetworkDescription      load_data ──► Data ──► train ──► Run ──► compare ──► Comparison
                                                       └──► study ──► Study (of Runs)
"""
