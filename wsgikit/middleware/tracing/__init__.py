"""Traces by OpenTelemetry: the attributes of spans, and the layer."""
