"""Restore calibrated ALMA data: from a MOUS uid to a verified, delivered MeasurementSet."""

__version__ = "0.1.0"
