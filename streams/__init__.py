"""The path of the data, in the order in which it is walked. The names of the path are the names of the modules.

Agents send with ``agents_emitter``; both sides share one schema, ``agents_emitter.events``.

::

    agents.metrics, agents.logs, otlp_metrics, otlp_logs
        -> decode -> window -> agents.windows -> detect -> agents.anomalies -> correlate -> agents.alerts
                            -> publish (Prometheus)                                      -> publish (Alertmanager)
    agents.spans, otlp_spans
        -> decode -> trace -> agents.traces, agents.edges
                           -> agents.red (the key changes) -> decode -> window, as above
    agents.windows -> detect (use of what has a limit) -> agents.capacity -> detect (forecast) -> publish (Prometheus)
    alerts, edges and agents.control (acks, maintenance), on agents.findings
        -> correlate -> agents.incidents -> publish (Alertmanager)

1. ``streams.decode``: records of ``agents.metrics``, ``agents.logs``, ``agents.spans``, ``otlp_metrics``,
   ``otlp_logs``, ``otlp_spans`` and ``agents.red`` become columns or spans. What cannot be used goes to
   ``agents.dead-letters`` with its bytes and a reason.
2. ``streams.window``: columns become closed windows of event time on ``agents.windows``.
3. ``streams.trace``: spans become traces on ``agents.traces``, edges of the service map on ``agents.edges``, and
   rate, error and duration samples on ``agents.red``.
4. ``streams.detect``: closed windows become findings on ``agents.anomalies``; what they use of resources that have a
   limit meets on ``agents.capacity`` and becomes a forecast of when the limit is reached.
5. ``streams.correlate``: windows and findings become alerts with a life on ``agents.alerts``; these and the calls on
   ``agents.findings`` become incidents with a ranked cause on ``agents.incidents``; acks and maintenance come there
   from ``agents.control``, ``agents.deployments``.
6. ``streams.gate``: evidence becomes the verdict on a deployment, beside what is pinned on ``agents.baselines``; a
   rollback leaves as a signed command on ``agents.commands``.
7. ``streams.publish``: windows, alerts and dead letters leave for Prometheus, Alertmanager and Kafka.

``streams.domain`` holds the values that cross rooms, ``streams.topics`` the table of topics, ``streams.errors`` the
exceptions, ``streams.settings`` the settings. ``streams.app`` is where Faust drives the rooms and keeps their
checkpoints on ``streams.state`` and says on ``streams.progress`` how far they are; ``streams.api`` answers over HTTP
and records who asked for a change on ``agents.audit``; ``streams.records`` reads and writes topics for both without
Faust; ``streams.subscribe`` gives alerts and incidents to other programs, to a terminal and to webhooks;
``streams.services`` starts Kafka, Prometheus and Alertmanager for the tests and for ``streams.demo``, which shows the
whole path live. tests/unit/test_house.py checks that every name above exists.
"""
