#!/bin/sh
# As the official image's: becomes the command.
exec "$@"
