"""What Torii remembers: the journal and its snapshots, the rows that pages read, blobs, and the lease of the one scheduler."""
