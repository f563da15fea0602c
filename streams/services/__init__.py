"""Neighbours of the pipeline as child processes of ours: what the demo and the tests run against.

::

    ports.py         free loopback ports, reserved across processes
    launcher.py      the first program of every child: dies with its parent, then becomes the service
    process.py       one child process: start, wait until ready, stop, kill, pause, resume
    service.py       what all services share: folder, ports, readiness, restart on the same data
    jars.py          Kafka's class path, resolved once per user
    kafka.py         a real Apache Kafka broker
    prometheus.py    Prometheus, alertmanager.py Alertmanager, install.py how both are installed
    template.py     their configuration, from monitoring/
    rotel.py         an OTLP agent: OTLP in, Kafka out
    webhook.py       records what Alertmanager posts
    stack.py         several of them, started together and stopped together

Linux only: the promise "no orphan after kill -9 of the parent" rests on ``PR_SET_PDEATHSIG``. Everything listens
on 127.0.0.1 and nowhere else.
"""
