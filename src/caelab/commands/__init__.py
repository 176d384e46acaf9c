"""The commands, a module each; ``caelab.cli`` imports one when it is called."""
