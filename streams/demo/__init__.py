"""The demo: the whole pipeline on this machine, from simulated agents to Alertmanager, shown live.

::

    run.py        the acts in their order, and the exit code
    stage.py      services and child processes: started, stopped
    plan.py       when what happens; the command line of the simulator and what it reports
    rules.py      thresholds.yml with shorter waiting times
    figures.py    one scrape of the worker's /metrics
    watch.py      alerts, anomalies and traces, read from their topics; what others send
    notices.py    what Alertmanager really notified
    folding.py    alerts and the incidents that hold them: what was told apart
    show.py       the live display: looks once a second, draws
    view.py       everything at one moment, as values
    screen.py     a view as a live page or as plain lines
    summary.py    the sums, the alert's timeline, the verdict
"""
