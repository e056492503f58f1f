"""Where changes come from and reports go to: one package a kind of server, each behind the port `Source`; `registry` opens them.

Nothing is imported here: `torii notify`, for which somebody who pushed is waiting, needs `wake` and nothing else.
"""
