"""Grafana's dashboards as values (``content``) and as Grafana's JSON (``board``)."""
