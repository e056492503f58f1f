"""The steps, oldest first. A released step is never edited; `torii.store.tables.SCHEMA` names the newest."""
