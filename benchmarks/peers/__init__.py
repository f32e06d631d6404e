"""One module per server that is compared. ``python -m benchmarks.peers.NAME PORT`` runs it alone on 127.0.0.1.

Every server has two paths: ``/echo`` sends each text message back, ``/fan`` sends it to everyone on ``/fan``. The first
line of a module's docstring is what the report says about it. Modules with a leading underscore are no servers.
"""
