"""Other ways to compute the same windows, measured beside ours: ``python -m benchmarks.throughput --peers``.

Every peer reads the same topic of JSON events, keeps count, sum, minimum and maximum of 10 s tumbling windows per
series (agent, metric, operation) and writes the windows to a topic of its own. Each is a program of its own, written as
its documentation would write it; where its documentation leaves a choice, the quicker one was taken.

``task``         what a peer is told and what it reports; the standard library only, for it runs in every environment.
``windows``      the brute force that all are compared with.
``contest``      starts the peers one after another, reads their windows, measures.
``standings``    the list of peers, ratios, the table.
``environment``  Python environments for the peers, in the user's cache folder; ``java`` the same for jars.
"""
