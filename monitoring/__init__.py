"""What is shipped for Prometheus, Alertmanager, Grafana; ``python -m monitoring.source`` writes what is generated."""
