"""Which models exist, what they cost, where they may be served."""
