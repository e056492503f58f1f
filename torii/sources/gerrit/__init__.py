"""A Gerrit as a source of changes: heard by its stream or webhooks, read and written by REST."""
