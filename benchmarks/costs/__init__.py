"""What single parts cost, without a server and a client around them: ``python -m benchmarks.costs``.

The documentation and comments in the code take their numbers from here.
"""
