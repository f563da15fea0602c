"""``agents.findings``: alert transitions, call edges and what people say, all in one log, which incidents follow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import orjson

from streams.domain.alert import ALERT_SCHEMA, AlertTransition, decode_alert
from streams.domain.control import CONTROL_SCHEMA, Control, decode_control
from streams.domain.deployment import DEPLOYMENT_SCHEMA, Deployment, decode_deployment
from streams.domain.trace import Edge, decode_edge, encode_edge

EDGES_SCHEMA: Final = "agents.edges/1"


def encode_edges(edges: Iterable[Edge]) -> bytes:
    """One record for the edges of a run, those of the same key and connection type added up. Alerts, control
    records and deployments are those of their own topics, unchanged.
    """
    sums: dict[tuple[str, str, str], Edge] = {}
    for edge in edges:
        key = (edge.client, edge.server, edge.connection_type)
        sums[key] = sums[key].plus(edge) if key in sums else edge
    rows = [orjson.Fragment(encode_edge(sums[key])) for key in sorted(sums)]
    return orjson.dumps({"v": 1, "schema": EDGES_SCHEMA, "edges": rows})


def decode_finding(value: bytes) -> AlertTransition | Control | Deployment | list[Edge]:
    """A transition, edges, a control record, or a deployment.

    Raises:
        ValueError: none of them.
    """
    body = orjson.loads(value)
    schema = body.get("schema")
    if schema == ALERT_SCHEMA:
        return decode_alert(value)
    if schema == CONTROL_SCHEMA:
        return decode_control(value)
    if schema == DEPLOYMENT_SCHEMA:
        return decode_deployment(value)
    if schema != EDGES_SCHEMA:
        raise ValueError(f"not a finding: schema {schema!r}")
    return [decode_edge(orjson.dumps(row)) for row in body["edges"]]
