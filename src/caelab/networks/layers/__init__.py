"""The layers of the network language, one class a kind; no torch until a module is made."""
