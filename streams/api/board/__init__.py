"""The read model of alerts, incidents, anomalies and the service map: one SQLite file, rebuilt from topics."""
