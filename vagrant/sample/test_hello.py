"""What must hold of every greeting."""

import unittest

from hello import greeting


class Greeting(unittest.TestCase):
    """A greeting."""

    def test_it_names_whom_it_greets(self) -> None:
        self.assertIn("Torii", greeting("Torii"))
