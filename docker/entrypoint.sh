#!/bin/sh
# Turns the secrets into settings, then becomes the command. Nothing starts with a secret that is missing or a default:
# all that a container is given are looked at, whether it uses them here or later.
set -eu

# Kubernetes gives the settings themselves, out of secrets of its own.
if [ -n "${AIRFLOW__DATABASE__SQL_ALCHEMY_CONN:-}" ]; then exec "$@"; fi

secret() {
    value=$(cat "/run/secrets/$1" 2>/dev/null) || value=
    if [ ${#value} -lt 16 ] || [ -z "${value##*change*me*}" ]; then
        echo "The secret $1 is missing, too short or a default. Make the secrets with docker/make-secrets.sh." >&2
        exit 78
    fi
    printf '%s' "$value"
}

# A secret as a URL holds it: one that a site has chosen itself can hold any character.
quoted() {
    value=$(secret "$1") || exit $?
    printf '%s' "$value" | python3 -c 'import sys, urllib.parse; print(urllib.parse.quote(sys.stdin.read(), safe=""))'
}

airflow_password=$(quoted airflow_db_password)
catalogue_password=$(quoted catalogue_db_password)
redis_password=$(quoted redis_password)
for file in /run/secrets/*; do
    secret "$(basename "$file")" >/dev/null
done
database="airflow:$airflow_password@${POSTGRES_ADDRESS:-postgres:5432}/airflow"

export AIRFLOW__DATABASE__SQL_ALCHEMY_CONN="postgresql+psycopg2://$database"
export AIRFLOW__CELERY__RESULT_BACKEND="db+postgresql://$database"
export AIRFLOW__CELERY__BROKER_URL="redis://:$redis_password@${REDIS_ADDRESS:-redis:6379}/0"
export ALMA_RESTORE_CATALOGUE_URL="postgresql+psycopg://catalogue:$catalogue_password@${POSTGRES_ADDRESS:-postgres:5432}/catalogue"

# What opens connections and what signs: only the services that do so are given them.
[ ! -e /run/secrets/fernet_key ] || export AIRFLOW__CORE__FERNET_KEY="$(secret fernet_key)"
[ ! -e /run/secrets/jwt_secret ] || export AIRFLOW__API_AUTH__JWT_SECRET="$(secret jwt_secret)"
[ ! -e /run/secrets/api_secret_key ] || export AIRFLOW__API__SECRET_KEY="$(secret api_secret_key)"

# A service of the profile `events`: its broker, and its log-in at Airflow.
if [ -n "${RABBITMQ_ADDRESS:-}" ]; then
    rabbitmq_password=$(quoted rabbitmq_password)
    ALMA_RESTORE_AIRFLOW_PASSWORD=$(secret events_password)
    export ALMA_RESTORE_AIRFLOW_USER=events ALMA_RESTORE_AIRFLOW_PASSWORD
    export AIRFLOW_CONN_ALMA_EVENTS="$RABBITMQ_SCHEME://$RABBITMQ_USER:$rabbitmq_password@$RABBITMQ_ADDRESS"
fi

exec "$@"
