"""Baselines: what every result is compared with, from the gray copy to PCA and classical
filters.
"""
