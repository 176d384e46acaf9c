"""Metrics of images, one value per image, and statistics that compare them."""
