#!/bin/sh
# An S3 server with one bucket; /tmp/ready says that the bucket is there.
set -eu
umask 077
cat > /tmp/s3.json <<CONFIG
{"identities": [{"name": "wayside", "credentials": [{"accessKey": "$S3_ACCESS_KEY", "secretKey": "$S3_SECRET_KEY"}],
 "actions": ["Read", "Write", "List", "Tagging"]}]}
CONFIG
weed server -dir=/data -ip.bind=0.0.0.0 -s3 -s3.port=8333 -s3.config=/tmp/s3.json &
server=$!
trap 'kill "$server"; wait "$server"' TERM INT
until echo "s3.bucket.list" | weed shell 2>/dev/null | grep -q wayside; do
    echo "s3.bucket.create -name wayside" | weed shell >/dev/null 2>&1 || true
    sleep 1
done
touch /tmp/ready
wait "$server"
