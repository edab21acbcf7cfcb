"""``python -m qmoe`` is the command ``qmoe``, for where that is not on the path."""

from qmoe.cli import main

if __name__ == "__main__":
    main()
