"""Makes the speculative merges of the gate on bare repositories, pushes them as staging refs, and deletes those again."""
