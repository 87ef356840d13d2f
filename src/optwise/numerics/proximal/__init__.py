"""Proximal maps, the functions they belong to, and the conjugates of those, one family a file."""
