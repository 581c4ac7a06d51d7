#!/bin/bash
# gateway/quickstart.sh run: a realm, a supernode with a gateway for two phones, and an echo node, all on
# this machine, with their state in one folder (RUN, default ./run). Ctrl-C stops everything it started.
# gateway/quickstart.sh site: makes the folder of a second site, ready to be copied to where it shall run.
# SIP_PORT, OVERLAY_PORT and ADMIN_PORT count when the settings are written; later the settings do.
set -eu

build=${O:-build}
sallyport=$build/sallyport
run=${RUN:-run}
site=office
second=paris
sip_port=${SIP_PORT:-5060}
overlay_port=${OVERLAY_PORT:-7443}
admin_port=${ADMIN_PORT:-8088}

# The address of this machine that a phone in the same network would use.
address() {
    { ip -4 route get 192.0.2.1 2>/dev/null | sed -n 's/.* src \([0-9.]*\).*/\1/p'
      hostname -I | tr ' ' '\n' | grep -F .; } | head -1
}

# Twelve letters and digits that cannot be mistaken for others on a phone's display.
secret() {
    head -c 256 /dev/urandom | tr -dc 'a-km-z2-9' | head -c 12
}

make_secrets() {
    mkdir -p "$1/secrets"
    chmod 700 "$1" "$1/secrets"
    for phone in 201 202; do
        (umask 077 && secret >"$1/secrets/$phone")
    done
}

phones() {
    cat <<CONF
phone "201" { secret_file = "secrets/201"  name = "First phone of $1" }
phone "202" { secret_file = "secrets/202"  name = "Second phone of $1" }
CONF
}

make_settings() {
    mkdir -p "$run"
    "$sallyport" realm new --realm "$run/realm" --name quickstart >/dev/null
    "$sallyport" realm enrol --realm "$run/realm" --site $site --role gateway --role supernode \
        --role relay --out "$run/$site.enrol" >/dev/null
    "$sallyport" realm enrol --realm "$run/realm" --site echo --role client \
        --supernode "127.0.0.1:$overlay_port" --out "$run/echo.enrol" >/dev/null
    make_secrets "$run"
    mkdir -p "$run/state/echo"
    cat >"$run/echo.conf" <<CONF
# Written once by 'make run': the node that answers 600.
state_dir = "state/echo"
realm { enrolment = "echo.enrol" }
CONF
    cat >"$run/$site.conf" <<CONF
# Written once by 'make run'; yours to change. Every setting is explained in
# conf/sallyport.conf.sample.
state_dir = "state"

realm   { enrolment = "$site.enrol" }
overlay { listen = "0.0.0.0:$overlay_port"  advertise = "$here:$overlay_port"
          roles = { "gateway", "supernode", "relay" } }
sip     { listen = { "udp:0.0.0.0:$sip_port", "tcp:0.0.0.0:$sip_port" }  domain = "$here" }
admin   { listen = "127.0.0.1:$admin_port" }

$(phones $site)

# 600 goes through the overlay to another node (the echo node) and back.
route "echo" { match = "^600$"  to = "overlay:echo@echo" }
# 8 + number calls a phone of the second site.
route "$second" { match = "^8([0-9]+)$"  to = "overlay:\\\\1@$second" }
CONF
}

# What the settings say, for they are the user's to change: setting NAME prints HOST:PORT.
setting() {
    sed -n "s/^[^#]*$1 *= *\"\([^\"]*\)\".*/\1/p" "$run/$site.conf" | head -1
}

sip_port_of() {
    sed -n 's/^[^#]*"udp:[^"]*:\([0-9]*\)".*/\1/p' "$1" | head -1
}

tell() {
    local admin
    admin=$(setting 'admin.*listen')
    [ "$admin" != 127.0.0.1:8088 ] || admin=
    cat <<TEXT

Sallyport is running: realm, supernode and gateway of the site "$site".

  Type into a phone      server    $here, port $(sip_port_of "$run/$site.conf") (UDP or TCP)
                         user      201        secret  $(cat "$run/secrets/201")
  and into another one   user      202        secret  $(cat "$run/secrets/202")

  Dial                   202       the other phone
                         600       an echo test through the overlay (a second node)

  Look                   $sallyport status${admin:+ --admin $admin}
                         $sallyport calls${admin:+ --admin $admin}

  Add a second site      ${changed}gateway/quickstart.sh site
                         and do what it prints (on this same machine it needs ports of its own:
                         put SIP_PORT=5070 ADMIN_PORT=8089 before it). Then 8201 calls 201 there.

The log is $run/$site.log, the settings are $run/$site.conf. Ctrl-C stops everything.
TEXT
    [ "${supernode%:*}" = "$here" ] ||
        echo "This machine was $supernode when $run/$site.conf was written and is $here now:" \
            "change advertise there."
}

tell_site() {
    local port
    port=$(sip_port_of "$folder/sallyport.conf")
    cat <<TEXT
$folder is a second site: settings, secrets and the key of its node.

  Elsewhere              copy that folder into a clone of this repository on a machine that can
                         reach $supernode, and type there:
                             make && build/sallyport run -c $second/sallyport.conf
  On this machine        $sallyport run -c $folder/sallyport.conf

  Type into a phone      server    the address of that machine, port $port (UDP or TCP)
                         user      201        secret  $(cat "$folder/secrets/201")
  and into another one   user      202        secret  $(cat "$folder/secrets/202")

  Dial                   8201      phone 201 of the other site, from either side
TEXT
}

make_site() {
    [ -e "$folder/sallyport.conf" ] && return
    "$sallyport" realm enrol --realm "$run/realm" --site $second --supernode "$supernode" \
        --out "$run/$second.enrol" >/dev/null
    make_secrets "$folder"
    mv "$run/$second.enrol" "$folder/"
    cat >"$folder/sallyport.conf" <<CONF
# Written once by 'gateway/quickstart.sh site'; yours to change.
state_dir = "state"

realm { enrolment = "$second.enrol" }
sip   { listen = { "udp:0.0.0.0:$sip_port", "tcp:0.0.0.0:$sip_port" }  domain = "$second" }
admin { listen = "127.0.0.1:$admin_port" }

$(phones $second)

# 8 + number calls a phone of the first site.
route "$site" { match = "^8([0-9]+)$"  to = "overlay:\\\\1@$site" }
CONF
}

pids=()
stop() {
    trap - INT TERM EXIT
    [ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2>/dev/null || true
    wait
}

# Waits until $1 stands in the log $2 of the node that was started last.
await() {
    for _ in $(seq 100); do
        grep -q "$1" "$2" && return
        kill -0 "${pids[-1]}" 2>/dev/null || break
        sleep 0.1
    done
    echo "A node did not get ready ($2):" >&2
    tail -n 5 "$2" >&2
    if grep -qi 'already in use' "$2"; then
        echo "Another program has that port ('ss -lntup' shows which; another 'make run'?): stop it," \
            "or begin anew with others:" >&2
        echo "    rm -r $run; SIP_PORT=5070 OVERLAY_PORT=7444 ADMIN_PORT=8089 ${changed}make run" >&2
    fi
    exit 1
}

run() {
    "$sallyport" check -c "$run/$site.conf" >/dev/null
    trap stop EXIT
    trap 'exit 0' INT TERM
    : >"$run/$site.log"
    : >"$run/echo.log"
    "$sallyport" run -c "$run/$site.conf" 2>>"$run/$site.log" &
    pids+=($!)
    await 'running with' "$run/$site.log"
    "$sallyport" call -c "$run/echo.conf" --answer --echo >>"$run/echo.log" 2>&1 &
    pids+=($!)
    await 'waiting for calls' "$run/echo.log"
    tell
    wait -n "${pids[@]}" || true
    echo "A node has stopped by itself; its log is in $run/*.log:" >&2
    tail -n 3 "$run/$site.log" "$run/echo.log" >&2
    exit 1
}

here=$(address)
here=${here:-127.0.0.1}
folder=$run/$second
changed=
[ "$build" = build ] || changed="O=$build "
[ "$run" = run ] || changed="${changed}RUN=$run "

case ${1:-} in
run)
    [ -e "$run/$site.conf" ] || make_settings
    supernode=$(setting advertise)
    supernode=${supernode:-$here:$overlay_port}
    run
    ;;
site)
    [ -e "$run/$site.conf" ] || {
        echo "There is no first site in $run yet: 'make run' makes it." >&2
        exit 1
    }
    supernode=$(setting advertise)
    supernode=${supernode:-$here:$overlay_port}
    make_site
    tell_site
    ;;
*)
    echo "usage: gateway/quickstart.sh run | site" >&2
    exit 2
    ;;
esac
