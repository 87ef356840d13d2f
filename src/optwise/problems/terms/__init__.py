"""The terms that formulations are made of: losses, smooth functions, penalties, sets and operators."""
