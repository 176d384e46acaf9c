"""The commands of the command line; ``caelab.cli`` imports a command's module when it is called."""
