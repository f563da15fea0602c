"""Faults on purpose: a schedule of them, the workers they hit, and a checker of everything that comes out.

``schedule``, ``truth`` and ``checker`` are pure; ``crash`` and ``stock`` are what worker processes run; ``source``,
``slots``, ``proxy``, ``reading`` and ``arena`` are the shell around them. ``benchmarks/faults.py`` is the command.
"""
