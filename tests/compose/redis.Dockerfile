# Stands in for redis:7-bookworm: Debian's package.
FROM python:3.11-slim-bookworm
RUN apt-get update && apt-get install -y --no-install-recommends redis-server && rm -rf /var/lib/apt/lists/* \
    && install -d -o redis /data
WORKDIR /data
USER redis
CMD ["redis-server"]
