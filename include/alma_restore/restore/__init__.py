"""The story of one restore, as plain functions over the rooms below; Airflow calls them one by one.

`opening`: what is asked for, and may it be done? `fetching`: the raw data and the calibration products.
`calibrating`: PPR, CASA, verification. `closing`: delivery, mail, clean-up.
Every stage judges by content, so that running it again repairs rather than repeats.
"""
