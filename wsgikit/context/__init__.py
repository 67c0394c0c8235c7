"""The locals: `request`, `g`, `session`, `db`, `current_app`, and the layer that binds them."""
