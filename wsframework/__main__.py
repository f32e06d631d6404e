"""``python -m wsframework`` is the ``wsframework`` command."""

from .cli import main

if __name__ == "__main__":
    main(prog_name="wsframework")
