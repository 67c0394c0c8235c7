"""The catalogue: every other middleware, one file each."""
