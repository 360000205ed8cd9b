"""The rules: what is proven, what is missing, where to walk, when to stop. Pure functions."""
