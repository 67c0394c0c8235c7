"""The access log: its fields, its formats, and the layer."""
