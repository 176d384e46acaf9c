"""``python -m caelab`` is ``caelab``."""

from caelab.cli import main

if __name__ == "__main__":
    main()
