"""Metrics for Prometheus: the instruments and the layer."""
