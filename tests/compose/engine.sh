# Sourced: an own Docker engine for the time of the test, beside whatever this machine runs already.
# Wants $COMPOSE_HOME, a folder for all of it; $ENGINE_RUN is short, for the sockets in it.

ENGINE_RUN=/run/alma-restore-compose
export DOCKER_HOST=unix://$ENGINE_RUN/docker.sock

engine_answers() { docker version >/dev/null 2>&1; }

start_engine() {
    if engine_answers; then return; fi # of a test that was killed
    mkdir -p "$ENGINE_RUN" "$COMPOSE_HOME"
    setsid dockerd --host "$DOCKER_HOST" --data-root "$COMPOSE_HOME/engine" --exec-root "$ENGINE_RUN/exec" \
        --pidfile "$ENGINE_RUN/pid" --bridge none </dev/null >>"$COMPOSE_HOME/engine.log" 2>&1 &
    local second
    for second in $(seq 180); do
        if engine_answers; then return; fi
        sleep 1
    done
    tail -n 20 "$COMPOSE_HOME/engine.log" >&2
    echo "No Docker engine starts here; its log is $COMPOSE_HOME/engine.log." >&2
    return 1
}

stop_engine() {
    local pid second
    pid=$(cat "$ENGINE_RUN/pid" 2>/dev/null) || return 0
    kill "$pid" 2>/dev/null || return 0
    for second in $(seq 180); do # it stops its containers first
        kill -0 "$pid" 2>/dev/null || return 0
        sleep 1
    done
    echo "The Docker engine does not stop; its log is $COMPOSE_HOME/engine.log." >&2
    return 1
}
