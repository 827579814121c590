"""What the command line and notebooks do: ask a running Airflow for restores, and look how they fare.

`rest`: Airflow's REST API. `reach`: the catalogue, where it can be read. `desk`: the verbs over both. `restores`: what
they tell of one restore. `connections`: the archive's connections, from the environment. `lookup` and `backfill`: what
the archive holds, and what restoring a range of days would take. `verbs`: all of it as plain functions.
"""
