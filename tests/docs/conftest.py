"""Make ``benchmarks``, which is not installed, importable here."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
