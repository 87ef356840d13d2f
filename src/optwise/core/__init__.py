"""The nouns: Problem, Method, Run, and what they are made of."""
