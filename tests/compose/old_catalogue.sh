#!/usr/bin/env bash
# old_catalogue.sh CONTAINER FILE: fills the catalogue of a fresh PostgreSQL as an older release left it.
set -euo pipefail
container=$1 file=$2
until [ "$(docker inspect -f '{{.State.Health.Status}}' "$container")" = healthy ]; do sleep 1; done
{
    echo 'CREATE ROLE catalogue LOGIN; CREATE DATABASE catalogue OWNER catalogue;'
    printf '%s\n' '\connect catalogue' 'SET ROLE catalogue;'
    cat "$file"
} | docker exec -i "$container" psql -q -U postgres -v ON_ERROR_STOP=1 >/dev/null
