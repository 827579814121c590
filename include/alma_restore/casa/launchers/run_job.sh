#!/bin/sh
# run_job.sh FOLDER NICENESS COMMAND [ARGUMENT...]
#
# Starts the command in the background, prints the process id of what watches over it, and returns.
# FOLDER/log gets its output; FOLDER/rc its exit code once it has ended, complete or not there at all.
folder=$1
niceness=$2
shift 2

(
    nice -n "$niceness" "$@"
    echo "$?" >"$folder/rc.part" && mv "$folder/rc.part" "$folder/rc"
) </dev/null >>"$folder/log" 2>&1 &

echo "$!"
