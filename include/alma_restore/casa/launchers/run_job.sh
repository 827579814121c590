#!/bin/sh
# run_job.sh LOG COMMAND [ARGUMENT...]
#
# Starts the command in the background, with its output in LOG, prints its process id, and returns.
log=$1
shift

"$@" </dev/null >>"$log" 2>&1 &

echo "$!"
