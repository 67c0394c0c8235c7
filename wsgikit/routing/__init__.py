"""Rules, the matcher, the router and its layer."""
