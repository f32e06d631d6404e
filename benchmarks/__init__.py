"""Side-by-side measurements of wsframework and its peers; run with ``python -m benchmarks``."""
