"""Runs or problems in, numbers and findings out."""
