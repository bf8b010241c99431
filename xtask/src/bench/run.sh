#!/bin/sh
# What `cargo xtask ci` does to an app, as a person would write it with Docker's own commands:
# install, upgrade, backup, restore, removal, fresh install, removal.
#
# Given: $RECIPE, $STACK, $DOMAIN, $BASE and $HEAD (folders of the recipe's files), $SCRATCH (a
# folder for what the script makes), $NEEDS_DNSRR (1: this kernel has no IPVS).
# Standard output: a line for every phase, `<name> <milliseconds>`. All else goes to standard error.
set -eu

export STACK_NAME="$STACK"
pause=0.5
patience=600

now() {
    date +%s%3N
}

# A phase is from the last one's end to here.
phase() {
    end=$(now)
    echo "$1 $((end - begin))"
    begin=$end
}

# Asks again and again until the command succeeds.
wait_for() {
    until=$(($(date +%s) + patience))
    while ! "$@" >&2; do
        if [ "$(date +%s)" -ge "$until" ]; then
            echo "gave up waiting for: $*" >&2
            exit 1
        fi
        sleep "$pause"
    done
}

# The variables that the compose files of a version want: the sample, then abra.sh, then ours.
variables_of() {
    set -a
    # Text behind a value is a comment, and quotes are the shell's own.
    . "$1/.env.sample"
    # Only its settings: functions in it are for people.
    eval "$(grep '^export ' "$1/abra.sh")"
    DOMAIN=$own_domain
    LETS_ENCRYPT_ENV=
    EXTRA_DOMAINS=${EXTRA_DOMAINS:-}
    set +a
}

# Service addresses don't answer without IPVS.
overlay_of() {
    echo 'version: "3.8"'
    echo 'services:'
    for service in $services; do
        echo "  $service:"
        echo '    deploy:'
        echo '      endpoint_mode: dnsrr'
    done
}

make_secrets() {
    for secret in $secrets; do
        head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n' |
            docker secret create "${STACK}_${secret}_v1" - >&2
    done
}

deploy() {
    variables_of "$1"
    set -- -c "$1/compose.yml"
    if [ "$NEEDS_DNSRR" = 1 ]; then
        overlay_of > "$SCRATCH/overlay.yml"
        set -- "$@" -c "$SCRATCH/overlay.yml"
    fi
    # Every image is on this machine: asking a registry for it would only cost the script time.
    docker stack deploy --prune --resolve-image never "$@" "$STACK" >&2
}

# As many tasks run as are wanted.
converged() {
    for service in $services; do
        replicas=$(docker service ls --filter "name=${STACK}_$service" --format '{{.Replicas}}')
        [ "$replicas" = 1/1 ] || return 1
    done
}

# The update of the service that the new version changes has ended. No state at all: it has not
# begun to show.
updated() {
    state=$(docker service inspect --format \
        '{{if .UpdateStatus}}{{.UpdateStatus.State}}{{end}}' "${STACK}_app")
    case $state in
        completed) converged ;;
        rollback* | paused)
            echo "app: $state" >&2
            exit 1
            ;;
        *) return 1 ;;
    esac
}

container_of() {
    docker ps --quiet --filter "label=com.docker.swarm.service.name=${STACK}_$1" | head -n 1
}

# At the container's own address, with no proxy between.
answers() {
    container=$(container_of app)
    [ -n "$container" ] || return 1
    address=$(docker network inspect docker_gwbridge \
        --format "{{range \$id, \$c := .Containers}}{{if eq \$id \"$(docker inspect --format '{{.Id}}' "$container")\"}}{{\$c.IPv4Address}}{{end}}{{end}}")
    [ -n "$address" ] || return 1
    curl --silent --fail --output /dev/null --max-time 10 --header "Host: $own_domain" \
        "http://${address%/*}:$port$path"
}

gone() {
    [ -z "$(docker ps --all --quiet --filter "label=com.docker.stack.namespace=$STACK")" ] &&
        [ -z "$(docker network ls --quiet --filter "label=com.docker.stack.namespace=$STACK")" ]
}

remove() {
    docker stack rm "$STACK" >&2
    wait_for gone
    for volume in $(docker volume ls --quiet --filter "label=com.docker.stack.namespace=$STACK"); do
        docker volume rm "$volume" >&2
    done
}

install() {
    deploy "$1"
    wait_for converged
    wait_for answers
}

# Whatever happens, nothing stays.
clean_up() {
    docker stack rm "$STACK" >&2 || true
    wait_for gone
    docker volume ls --quiet --filter "label=com.docker.stack.namespace=$STACK" |
        xargs --no-run-if-empty docker volume rm >&2
    for secret in $secrets; do
        docker secret rm "${STACK}_${secret}_v1" >&2 || true
    done
}

own_domain=$DOMAIN
case $RECIPE in
    custom-html)
        services=app secrets= port=80 path=/ volume=${STACK}_content
        what=.
        before_backup() { echo kept > "$data/bench.txt"; }
        change() { echo changed > "$data/bench.txt"; }
        after_restore() { [ "$(cat "$data/bench.txt")" = kept ]; }
        ;;
    keycloak)
        services='app db' secrets='admin_password db_password'
        port=8080 path=/realms/master volume=${STACK}_db
        what=backup.sql
        before_backup() { docker exec "$(container_of db)" /pg_backup.sh backup >&2; }
        change() { echo changed > "$data/backup.sql"; }
        after_restore() { docker exec "$(container_of db)" /pg_backup.sh restore >&2; }
        ;;
    *)
        echo "the script knows no recipe $RECIPE" >&2
        exit 2
        ;;
esac

begin=$(now)
trap clean_up EXIT
# Some shells leave without that where a signal ends them.
trap 'exit 130' INT TERM HUP PIPE
make_secrets
install "$BASE"
phase install

data=$(docker volume inspect --format '{{.Mountpoint}}' "$volume")
echo survives > "$data/bench-marker.txt"
deploy "$HEAD"
wait_for updated
wait_for answers
[ "$(cat "$data/bench-marker.txt")" = survives ]
phase upgrade

before_backup
tar -C "$data" -cf "$SCRATCH/backup.tar" "$what"
phase backup

change
tar -C "$data" -xf "$SCRATCH/backup.tar"
after_restore
wait_for answers
phase restore

remove
phase removal

install "$HEAD"
phase fresh

remove
for secret in $secrets; do
    docker secret rm "${STACK}_${secret}_v1" >&2
done
phase removal
trap - EXIT
