"""Metrics of images, one value per image, and statistics that compare models by the values."""
