"""Signatures and random text, for sessions, tokens and ids."""
