"""Runs to disk and back: one folder, one SQLite file, one writer."""
