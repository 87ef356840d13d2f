"""Certificates: what proves an answer, recomputed in float64 by code that no solver uses."""

from optwise.analyses.certificates.choosing import certify

__all__ = ["certify"]
