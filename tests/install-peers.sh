#!/usr/bin/env bash
# Installs what the tests talk to for real, where this is Debian and we may: servers and a browser, from Debian's
# packages. Elsewhere the tests that need a missing one say so and are skipped.
#
# Arguments: other peers than those of `./run test`, each as package:file, the file that shows that it is there.
set -euo pipefail

peers=("$@")
[ $# -gt 0 ] || peers=(
    "openssh-server:/usr/sbin/sshd"
    "postgresql:/usr/lib/postgresql"
    "chromium:/usr/bin/chromium"
    "rabbitmq-server:/usr/lib/rabbitmq/bin/rabbitmq-server"
    "slurm-wlm:/usr/sbin/slurmctld"
    "munge:/usr/sbin/munged"
    "redis-server:/usr/bin/redis-server"
    "prometheus:/usr/bin/promtool"
)

missing=()
for peer in "${peers[@]}"; do
    [ -e "${peer#*:}" ] || missing+=("${peer%%:*}")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "Not installed here: ${missing[*]}. Tests that need them are skipped." >&2
    exit 0
fi
echo "installing for the tests: ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
# A server that Debian would start right away is started by the tests alone.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
fi
{ apt-get update && apt-get install -y --no-install-recommends "${missing[@]}"; } >/tmp/install-peers.log 2>&1 || {
    tail -n 5 /tmp/install-peers.log >&2
    echo "Some could not be installed; tests that need them are skipped." >&2
}
