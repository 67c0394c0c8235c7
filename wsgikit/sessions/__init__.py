"""The session: the layer, the session object, signing, and the stores."""
