#!/bin/sh
# docker/make-secrets.sh [FOLDER]: makes the secrets of docker-compose.yaml, a file each; those that are there stay.
# The folder keeps other users of this host out; inside a container only that container's own processes see its files.
set -eu
umask 077
folder=${1:-$(dirname "$0")/../secrets}
mkdir -p "$folder"
chmod 700 "$folder"

keep_or_make() {
    [ -s "$folder/$1" ] || head -c 32 /dev/urandom | eval "$2" | tr -d '\n=' >"$folder/$1"
    chmod 444 "$folder/$1"
}

hex='od -An -tx1 | tr -d " "'
for name in postgres_password airflow_db_password catalogue_db_password redis_password jwt_secret api_secret_key \
    admin_password; do
    keep_or_make "$name" "$hex"
done
# A Fernet key is base64 with its padding.
[ -s "$folder/fernet_key" ] || { head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '\n' >"$folder/fernet_key"; }
chmod 444 "$folder/fernet_key"
echo "The secrets are in $folder. The first log-in is admin, with the content of admin_password." >&2
