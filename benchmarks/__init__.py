"""What is measured, against whom, and the tables it prints.

``python -m benchmarks`` measures everything; ``python -m benchmarks.training`` and its sisters
measure one thing: ``training`` · ``quality`` (seconds to a given error) · ``floor`` (the machine's
own rate) · ``scale`` · ``inference`` · ``startup``. Every contestant (``contestants/``) runs in a
process of its own and says one line of JSON; contestants take turns, round by round, because
machines drift.

    benchmark ──► rounds ──► processes ──► contestants/*     one Task in, one line of JSON out
                    │
                    └──► results/*.json ──► markdown ──► README.md
"""
