"""Seeded recordings with known faults, for ``benchmarks.anomaly``: the same for everybody, nobody else's file."""
