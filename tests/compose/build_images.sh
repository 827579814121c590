#!/usr/bin/env bash
# build_images.sh CONTEXT TOKEN: the product's images, with a package index whose address holds the secret TOKEN.
# On the host's network, since the test's engine has no other.
set -euo pipefail
context=$1 token=$2
index=${PIP_INDEX_URL:-https://pypi.org/simple}
for target in airflow casa demo; do
    DOCKER_BUILDKIT=0 docker build --network host -f "$context/docker/Dockerfile" --target "$target" \
        --build-arg "PIP_INDEX_URL=${index/:\/\//:\/\/build:$token@}" -t "alma-restore/$target:local" "$context"
done
