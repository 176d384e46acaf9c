"""The functions that ``import caelab`` offers; notebooks show their results as tables and pictures.

describe ──► NetworkDescription      load_data ──► Data ──► train ──► Run ──► compare ──► Comparison
                                                       └──► study ──► Study (of Runs)
"""
