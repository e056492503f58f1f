"""The one thread that owns the gate, and the ports through which it speaks to everything else."""
