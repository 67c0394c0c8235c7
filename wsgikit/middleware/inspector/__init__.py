"""The inspector: what the last requests did, layer by layer."""
