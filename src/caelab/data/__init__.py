"""Data sets: CIFAR-10, folders of pictures and built-in photos; their splits and summaries."""
