#!/bin/sh
# Runs once, before the servers: keys and authority in the first one's folder, a copy of what the second needs, and the
# broker's configuration. What is there stays. $1: the name by which nodes reach the broker.
set -eu
umask 077

if [ ! -e /data/1/keys/online.pem ]; then
    # The root key: take it out of the volume, to a safe place offline, and delete it here. It is needed only to replace
    # keys.
    wayside-central keys init --root /data/1/keys/root.pem --data /data/1
fi
if [ ! -e /broker/mosquitto.conf ]; then
    wayside-central broker config mosquitto --out /broker --host broker --host "$1" --data /data/1
fi
if [ ! -e /data/2/keys/online.pem ]; then
    mkdir -p /data/2/keys
    cp -R /data/1/trust /data/1/authority /data/2/
    cp /data/1/keys/online.pem /data/2/keys/online.pem
fi
