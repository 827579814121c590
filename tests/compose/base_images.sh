#!/usr/bin/env bash
# Makes images with the official tags out of Debian's packages, where the official ones cannot be pulled.
# base_images.sh FOLDER: what is there already is left as it is.
set -euo pipefail
folder=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$folder/base

has() { [ -n "$(docker image ls -q "$1")" ]; }

stand_ins=(postgres:15-bookworm redis:7-bookworm rabbitmq:3.13)
wanted=(python:3.11-slim-bookworm "${stand_ins[@]}")
missing=0
for tag in "${wanted[@]}"; do has "$tag" || missing=1; done
[ "$missing" = 1 ] || exit 0

# `build` of the stand-ins fetches packages: the engine has no bridge of its own, so it builds on the host's network.
if ! has python:3.11-slim-bookworm; then
    rm -rf --one-file-system "$root"
    debootstrap --variant=minbase --include=python3,python3-venv,python3-pip,ca-certificates bookworm "$root" \
        >"$folder/debootstrap.log" 2>&1 || { tail -n 5 "$folder/debootstrap.log" >&2; exit 1; }
    for mounted in proc sys; do umount "$root/$mounted" 2>/dev/null || true; done
    rm -rf --one-file-system "$root"/var/cache/apt/archives/*.deb "$root"/usr/share/doc/*
    tar -C "$root" --one-file-system -c . | docker import --change 'CMD ["python3"]' - python:3.11-slim-bookworm >/dev/null
    rm -rf --one-file-system "$root"
fi
for tag in "${stand_ins[@]}"; do
    has "$tag" || docker build -q --network host -t "$tag" -f "$here/${tag%%:*}.Dockerfile" "$here" >/dev/null
done
