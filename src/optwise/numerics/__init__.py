"""Numerical methods that take and return tensors or arrays and know nothing of problems, methods and runs."""
