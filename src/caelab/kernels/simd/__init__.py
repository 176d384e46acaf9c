"""The compiled interpreter of small networks: one image in every lane of a vector register."""
