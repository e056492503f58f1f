"""How a database of an older Torii becomes one of this: one module in `versions` a step, run by Alembic when a store is opened."""
