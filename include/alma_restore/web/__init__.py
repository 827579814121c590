"""The archive page: search, requests, progress, downloads and events, served by Airflow's api-server under /mous.

`app` puts it together; `access` asks Airflow who may do what; `airflow_runs` starts, cancels and repeats runs;
`answers` keeps a slow archive from blocking the server; the other modules are one page each, or what a page shows.
"""
