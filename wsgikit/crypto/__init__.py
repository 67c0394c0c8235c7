"""Signatures and random text for sessions, tokens and ids. It knows neither HTTP nor the engine."""
