"""A server among clients that come, stall, resume and vanish, and what stays of them: ``python -m benchmarks.soak``."""
