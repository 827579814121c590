#!/usr/bin/env bash
# `./run test-compose`: docker-compose.yaml for real. Builds the images, upgrades an older release's catalogue, starts
# everything with the profiles `demo` and `events`, sees every restore delivered once while containers, a CASA host and
# the engine are killed, and takes everything down again.
#
# It starts a Docker engine of its own (Debian: docker.io, docker-compose), and makes base images from Debian's packages
# (debootstrap) where those are not there: nothing is pulled. It needs root, 15 GB of disk and the package index.
set -euo pipefail
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
here=$repository/tests/compose
COMPOSE_HOME=${ALMA_RESTORE_HOME:-$repository/var}/compose
. "$here/engine.sh"

started=$SECONDS
say() { printf '%4d s  %s\n' $((SECONDS - started)) "$*"; }
for program in dockerd docker docker-compose debootstrap; do
    command -v "$program" >/dev/null || { echo "Not here: $program (Debian: apt-get install docker.io docker-compose debootstrap)" >&2; exit 3; }
done
[ "$(id -u)" = 0 ] || { echo "A Docker engine of its own needs root." >&2; exit 3; }

# What the images are made of, as a user's checkout has it, with secrets of its own.
context=$COMPOSE_HOME/context
rm -rf "$context" && mkdir -p "$context"
(cd "$repository" && tar -c --exclude=__pycache__ --exclude='*.egg-info' docker-compose.yaml .dockerignore pyproject.toml \
    requirements.txt requirements-casa.txt include dags plugins docker) | tar -x -C "$context"
cp /usr/local/share/ca-certificates/*.crt "$context/docker/ca/" 2>/dev/null || true

export COMPOSE_PROJECT_NAME=alma-restore-test COMPOSE_HTTP_TIMEOUT=300
export AIRFLOW_PORT=18080 TASK_HEARTBEAT_TIMEOUT_S=30 CASA_HOST_SILENT_S=30 # a killed worker is noticed soon
export CASA_GRACE=10s ARCHIVE_GRACE=10s DEFAULT_GRACE=10s                   # and nobody waits for a stopped one
export COMPOSE_HOME
compose() {
    docker-compose --project-directory "$context" -f "$context/docker-compose.yaml" --profile demo --profile events "$@"
}

# Another host, as docs/deployment.md tells to set one up: its own project, which shares the file systems.
far_compose() {
    POSTGRES_ADDRESS=${COMPOSE_PROJECT_NAME}_postgres_1:5432 REDIS_ADDRESS=${COMPOSE_PROJECT_NAME}_redis_1:6379 \
        API_ADDRESS=${COMPOSE_PROJECT_NAME}_api-server_1:8080 FIRST_HOST=$COMPOSE_PROJECT_NAME \
        docker-compose -p far-host --project-directory "$context" -f "$context/docker-compose.yaml" -f "$here/far-host.yaml" "$@"
}

clean_up() {
    status=$?
    say "taking everything down"
    far_compose down --volumes --timeout 5 >/dev/null 2>&1 || true
    compose logs --no-color >"$COMPOSE_HOME/services.log" 2>&1 || true
    compose down --volumes --timeout 5 >/dev/null 2>&1 || true
    stop_engine
    [ $status = 0 ] || echo "The services' logs are in $COMPOSE_HOME/services.log." >&2
    exit $status
}
trap clean_up EXIT
trap 'exit 130' INT TERM

say "starting a Docker engine"
start_engine
say "base images"
"$here/base_images.sh" "$COMPOSE_HOME"
say "no secrets, no start"
if compose up -d postgres >/dev/null 2>&1; then echo "It started without secrets." >&2; exit 1; fi

# What must reach no image: the secrets, a file of settings, and the log-in of a private package index.
"$context/docker/make-secrets.sh" 2>/dev/null
# The log-in stays the same from test to test, so that layers made with it are found again.
[ -s "$COMPOSE_HOME/log-in" ] || head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$COMPOSE_HOME/log-in"
token=$(cat "$COMPOSE_HOME/log-in")
echo "PLANTED=$token" >"$context/.env"
say "images"
"$here/build_images.sh" "$context" "$token" >"$COMPOSE_HOME/build.log" 2>&1 || { tail -n 20 "$COMPOSE_HOME/build.log" >&2; exit 1; }
docker image ls --format '        {{.Repository}}:{{.Tag}} {{.Size}}' | grep alma-restore
say "no secret in any layer"
for secret in "$context"/secrets/*; do printf '%s\n' "$(cat "$secret")"; done >"$COMPOSE_HOME/secret"
echo "$token" >>"$COMPOSE_HOME/secret"
found=$(docker save alma-restore/airflow:local alma-restore/casa:local alma-restore/demo:local \
    | { LC_ALL=C grep -aoFf "$COMPOSE_HOME/secret" || true; } | sort -u | wc -l)
[ "$found" = 0 ] || { echo "$found secrets are in the layers of the images." >&2; exit 1; }

say "the catalogue of an older release"
compose up -d postgres >"$COMPOSE_HOME/up.log" 2>&1
"$here/old_catalogue.sh" "$(compose ps -q postgres)" "$repository/tests/catalogue/releases/catalogue_0001.postgresql.sql"
say "starting the demo"
compose up -d >>"$COMPOSE_HOME/up.log" 2>&1 || { tail -n 20 "$COMPOSE_HOME/up.log" >&2; exit 1; }
say "a CASA worker of another host"
far_compose up -d --no-deps worker-casa >>"$COMPOSE_HOME/up.log" 2>&1 || { tail -n 20 "$COMPOSE_HOME/up.log" >&2; exit 1; }
python "$here/watch.py" "$context"
say "passed"
