#!/usr/bin/env bash
# build_images.sh CONTEXT TOKEN: the product's images, with a package index whose address holds the secret TOKEN.
# On the host's network, since the test's engine has no other.
set -euo pipefail
context=$1 token=$2
pip_s_own='from pip._internal.models.index import PyPI; print(PyPI.simple_url)'
index=${PIP_INDEX_URL:-$("$ALMA_RESTORE_HOME/env/uv/bin/python" -c "$pip_s_own")}
for target in airflow casa demo; do
    DOCKER_BUILDKIT=0 docker build --network host -f "$context/docker/Dockerfile" --target "$target" \
        --build-arg "PIP_INDEX_URL=${index/:\/\//:\/\/build:$token@}" -t "alma-restore/$target:local" "$context"
done
