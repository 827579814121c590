#!/usr/bin/env bash
# build_images.sh CONTEXT: the product's images. On the host's network, since the test's engine has no other.
set -euo pipefail
context=$1
for target in airflow casa demo; do
    DOCKER_BUILDKIT=0 docker build --network host -f "$context/docker/Dockerfile" --target "$target" \
        --build-arg "PIP_INDEX_URL=${PIP_INDEX_URL:-}" -t "alma-restore/$target:local" "$context"
done
