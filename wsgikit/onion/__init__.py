"""How layers turn: the exchange, the hooks, the engine that runs them, and the stack they make."""
