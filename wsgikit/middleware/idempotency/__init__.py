"""Requests that have their effect once: what identifies them, the table of their responses, and the layer."""
