"""Alertmanager's receivers with channels, secrets from files: ``monitoring/alertmanager/channels.yml``."""

from __future__ import annotations

from typing import Any, Final

SECRETS: Final = "/etc/alertmanager/secrets"
"""Where the files with secrets are mounted; one value each, nothing else in them."""
_TITLE: Final = (
    '{{ if eq .Status "resolved" }}Resolved: {{ end }}{{ .CommonLabels.alertname }} ({{ .CommonLabels.severity }})'
)
_LINES: Final = (
    "{{ range .Alerts }}{{ .Annotations.summary }}\n{{ .Annotations.description }}\n"
    "Runbook: {{ .Annotations.runbook }}\n{{ end }}"
)


def _slack(channel: str) -> dict[str, Any]:
    return {
        "api_url_file": f"{SECRETS}/slack_url",
        "channel": channel,
        "send_resolved": True,
        "title": _TITLE,
        "text": _LINES,
    }


def _email(to: str) -> dict[str, Any]:
    return {
        "to": to,
        "from": "alertmanager@example.com",
        "smarthost": "smtp.example.com:587",
        "auth_username": "alertmanager",
        "auth_password_file": f"{SECRETS}/smtp_password",
        "headers": {"Subject": _TITLE},
        "send_resolved": True,
    }


CHANNELS: Final[dict[str, dict[str, Any]]] = {
    "page": {
        "pagerduty_configs": [
            {
                "routing_key_file": f"{SECRETS}/pagerduty_key",
                "severity": "{{ .CommonLabels.severity }}",
                "description": "{{ .CommonAnnotations.summary }}",
                "details": {"alerts": _LINES},
                "send_resolved": True,
            }
        ],
        "slack_configs": [_slack("#agents-critical")],
    },
    "operators": {"slack_configs": [_slack("#agents")], "email_configs": [_email("agents@example.com")]},
    "security": {
        "slack_configs": [_slack("#security")],
        "webhook_configs": [
            {
                "url": "https://soc.example.com/hooks/agents",
                "send_resolved": True,
                "http_config": {"authorization": {"credentials_file": f"{SECRETS}/soc_token"}},
            }
        ],
    },
    "notices": {"email_configs": [_email("agents-notices@example.com")]},
    "nobody": {},
}
"""By the receivers of ``monitoring/alertmanager/alertmanager.yml``: change names and addresses there, after copying."""


def configuration(template: dict[str, Any]) -> dict[str, Any]:
    """The routes of the template with these channels for its receivers.

    Raises:
        KeyError: a receiver of the template has no channels here.
    """
    receivers = [{"name": one["name"], **CHANNELS[one["name"]]} for one in template["receivers"]]
    return template | {"receivers": receivers}
