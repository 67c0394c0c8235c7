"""Static files: the layer, the index of its files, and the development server that may stand behind it."""
