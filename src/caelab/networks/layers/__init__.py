"""The layers of the network language, one class for each kind; only ``module`` imports PyTorch."""
