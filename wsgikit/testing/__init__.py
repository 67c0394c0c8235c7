"""For tests: a client, the conformance suite, fixtures."""
