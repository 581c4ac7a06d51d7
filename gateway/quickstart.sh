#!/bin/bash
# gateway/quickstart.sh run: a realm, a supernode with a gateway for two phones, and an echo node, all on
# this machine, with their state in one folder (RUN, default ./run). Ctrl-C stops everything it started.
set -eu

sallyport=${O:-build}/sallyport
run=${RUN:-run}
site=office
sip_port=${SIP_PORT:-5060}
overlay_port=${OVERLAY_PORT:-7443}
admin_port=${ADMIN_PORT:-8088}

# The address of this machine that a phone in the same network would use.
address() {
    ip -4 route get 192.0.2.1 2>/dev/null | sed -n 's/.* src \([0-9.]*\).*/\1/p' | head -1
}

secret() {
    head -c 9 /dev/urandom | base64 | tr '+/' 'ab'
}

make_settings() {
    mkdir -p "$run/secrets"
    chmod 700 "$run" "$run/secrets"
    "$sallyport" realm new --realm "$run/realm" --name quickstart >/dev/null
    "$sallyport" realm enrol --realm "$run/realm" --site $site --role gateway --role supernode \
        --role relay --out "$run/$site.enrol" >/dev/null
    "$sallyport" realm enrol --realm "$run/realm" --site echo --role client \
        --supernode "127.0.0.1:$overlay_port" --out "$run/echo.enrol" >/dev/null
    for phone in 201 202; do
        (umask 077 && secret >"$run/secrets/$phone")
    done
    cat >"$run/$site.conf" <<CONF
# Written once by 'make run'; yours to change. Every setting is explained in
# conf/sallyport.conf.sample.
state_dir = "state"

realm   { enrolment = "$site.enrol" }
overlay { listen = "0.0.0.0:$overlay_port"  advertise = "$here:$overlay_port"
          roles = { "gateway", "supernode", "relay" } }
sip     { listen = { "udp:0.0.0.0:$sip_port", "tcp:0.0.0.0:$sip_port" }  domain = "$here" }
admin   { listen = "127.0.0.1:$admin_port" }

phone "201" { secret_file = "secrets/201"  name = "First phone" }
phone "202" { secret_file = "secrets/202"  name = "Second phone" }

# 600 goes through the overlay to another node (the echo node) and back.
route "echo"  { match = "^600$"  to = "overlay:echo@echo" }
# 8 + number calls a phone of the second site.
route "paris" { match = "^8([0-9]+)$"  to = "overlay:\\\\1@paris" }
CONF
}

tell() {
    cat <<TEXT

Sallyport is running: realm, supernode and gateway of the site "$site".

  Type into a phone      server    $here, port $sip_port (UDP or TCP)
                         user      201        secret  $(cat "$run/secrets/201")
  and into another one   user      202        secret  $(cat "$run/secrets/202")

  Dial                   202       the other phone
                         600       an echo test through the overlay (a second node)

  Look                   $sallyport status
                         $sallyport calls

  Add a second site      $sallyport realm enrol --realm $run/realm --site paris \\
                             --supernode $here:$overlay_port --out paris.enrol
                         Copy paris.enrol to a machine there that can reach $here:$overlay_port, write
                         settings like $run/$site.conf without 'listen' in overlay { }, and start
                         'sallyport run -c FILE'. Then dial 8 and a number of that site.

Ctrl-C stops everything.
TEXT
}

pids=()
stop() {
    trap - INT TERM EXIT
    [ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2>/dev/null || true
    wait
}

here=$(address)
here=${here:-127.0.0.1}
[ -e "$run/$site.conf" ] || make_settings
"$sallyport" check -c "$run/$site.conf" >/dev/null

trap stop EXIT
trap 'exit 0' INT TERM
"$sallyport" run -c "$run/$site.conf" 2>"$run/$site.log" &
pids+=($!)
"$sallyport" call -e "$run/echo.enrol" --answer --echo >"$run/echo.log" 2>&1 &
pids+=($!)

for _ in $(seq 100); do
    grep -q 'waiting for calls' "$run/echo.log" && break
    if ! kill -0 "${pids[0]}" 2>/dev/null; then
        echo "The gateway did not start:" >&2
        grep -v debug "$run/$site.log" | tail -5 >&2
        exit 1
    fi
    sleep 0.1
done
tell
wait -n "${pids[@]}" || true
echo "A node has stopped by itself; its log is in $run/*.log:" >&2
tail -3 "$run/$site.log" "$run/echo.log" >&2
exit 1
