"""caelab, the convolutional-autoencoder workbench.

The way of an image, package by package: ``images`` → ``networks`` → ``training`` → ``measuring`` →
``experiments`` → ``lab``. Importing this module does nothing but name the version.
"""

__version__ = "0.1.0"
