#!/bin/sh
# docker/make-secrets.sh [FOLDER [NAME...]]: makes the secrets of docker-compose.yaml, and others by their names, a file
# each; those that are there stay.
# The folder keeps other users of this host out; inside a container only that container's own processes see its files.
set -eu
umask 077
folder=${1:-$(dirname "$0")/../secrets}
[ $# -eq 0 ] || shift
mkdir -p "$folder"
chmod 700 "$folder"

password() { head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n'; }
fernet_key() { head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '\n'; }

for name in postgres_password airflow_db_password catalogue_db_password redis_password jwt_secret api_secret_key \
    admin_password rabbitmq_password events_password "$@"; do
    [ -s "$folder/$name" ] || password >"$folder/$name"
done
[ -s "$folder/fernet_key" ] || fernet_key >"$folder/fernet_key"
chmod 444 "$folder"/*
echo "The secrets are in $folder. The first log-in is admin, with the content of admin_password." >&2
