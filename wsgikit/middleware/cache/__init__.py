"""The shared cache: what may be stored, the stores, one refresh at a time, and the layer."""
