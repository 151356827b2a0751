"""`toolrm-guard doctor`: is what the guard needs there, the right one, and fast enough.

command    which checks, in which order; text or JSON
scoring    the scorer: server, cost, ranking, agreement with a reference
place      the installation, the trace store, the collector
cases      decisions with a known right call, the same on every machine
check      the outcome of one check
"""
