"""Generators of monitoring/: values from thresholds.yml and slo.yml in, files out; see ``__main__``."""
