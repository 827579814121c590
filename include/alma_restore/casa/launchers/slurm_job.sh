#!/bin/sh
# slurm_job.sh FOLDER CWD NICENESS COMMAND [ARGUMENT...]
#
# What Slurm runs on a node: the command, in CWD. FOLDER/log gets its output; FOLDER/rc its exit code once it has
# ended, complete or not there at all, and never changed again. A command that Slurm stopped leaves none: Slurm says why.
#
# Slurm may start a job again: its node failed, it had to make way, somebody requeued it. A command that has ended stays
# ended. One that was interrupted begins anew, in an empty CWD and with an empty log; should its first run still be alive
# on a node that only seemed dead, that one loses its CWD and has no say in FOLDER/rc.
folder=$1
cwd=$2
niceness=$3
shift 3
start=${SLURM_RESTART_COUNT:-0}

[ -e "$folder/rc" ] && exit 0
[ -e "$folder/cancelled" ] && exit 143 # cancelled while the queue did not hear
echo "$start" >"$folder/start.part" && mv "$folder/start.part" "$folder/start" || exit 1
if [ "$start" -gt 0 ]; then
    mv "$folder/log" "$folder/log.before-$start"
    rm -rf "$cwd" && mkdir "$cwd" || exit 1
fi
cd "$cwd" || exit 1

trap 'exit 143' TERM # after the command: a job must not seem to have ended while a stubborn command still runs
nice -n "$niceness" "$@" </dev/null >>"$folder/log" 2>&1
code=$?

if [ "$(cat "$folder/start")" = "$start" ]; then
    echo "$code" >"$folder/rc.part" && mv "$folder/rc.part" "$folder/rc"
fi
exit "$code"
