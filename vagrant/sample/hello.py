"""Says hello."""

import sys


def greeting(name: str) -> str:
    """Return how `name` is greeted."""
    return f"Hello, {name}!"


if __name__ == "__main__":
    sys.stdout.write(greeting("lab") + "\n")
