"""Contestants: ``python -m benchmarks.contestants.NAME TASK`` prints one line of JSON.

caelab: ``caelab_fit`` · ``caelab_inference`` · ``caelab_pictures`` · ``study``. Others: ``script``
(the usual training script) · ``keras_fit`` · ``lightning_fit`` · ``script_inference``. The machine
itself: ``products``. Shared: ``data`` · ``record`` · ``torch_networks``.
"""
