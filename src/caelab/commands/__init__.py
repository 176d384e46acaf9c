"""The commands, one module each; ``caelab.cli`` imports a command when it is called."""
