"""The one loop: T trials at once, T = 1 included."""
