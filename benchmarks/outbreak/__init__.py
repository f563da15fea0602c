"""Faults in invented systems, the alerts that the real rules raise for them, and which of these belong together.

Nothing in ``streams/`` sees what is known here: the operator gets alert transitions, call edges and deployments.
"""
