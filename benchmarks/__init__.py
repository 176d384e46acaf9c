"""Benchmarks: caelab against other libraries, scripts and the machine's own rate.

``python -m benchmarks`` measures everything; ``python -m benchmarks.training`` and the other
modules measure one subject each: ``training`` · ``quality`` (seconds to a given error) · ``floor``
(the machine's own rate) · ``scale`` · ``inference`` · ``pictures`` · ``convolutions`` ·
``startup``. Every contestant (``contestants/``) runs in its own process and prints one line of
JSON. Contestants take turns, round by round, because machines drift.

    benchmark ──► rounds ──► processes ──► contestants/*     one Task in, one line of JSON out
                    │
                    └──► results/*.json ──► markdown ──► docs/benchmarks/comparison.md
"""
