"""The pages: what is in the queues, why, and every build's log. Read-only: nothing here changes what Torii does."""
