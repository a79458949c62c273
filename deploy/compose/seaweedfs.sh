#!/bin/sh
# Starts SeaweedFS with two keys: one that only the set-up has, and one that reads, writes and lists
# and can delete nothing (docs/storage.md). A third may put files into the inbox bucket.
#
# The keys come from the environment, and go into a file that is in memory alone.
set -eu

: "${HULEEDU_S3_SETUP_SECRET_KEY:?is the secret key of the set-up}"
: "${HULEEDU_S3_SECRET_KEY:?is the secret key of HuleEdu}"
: "${HULEEDU_S3_BUCKET:?is the bucket of the blobs}"

# They become parts of a JSON file.
for value in "$HULEEDU_S3_SETUP_SECRET_KEY" "$HULEEDU_S3_SECRET_KEY" "$HULEEDU_S3_BUCKET" \
    "${HULEEDU_INBOX_BUCKET:-}" "${HULEEDU_INBOX_SECRET_KEY:-}"; do
    case "$value" in
    *[!A-Za-z0-9._-]*)
        echo "keys and buckets of the S3 server may hold letters, digits, -, _ and . only" >&2
        exit 1
        ;;
    esac
done

statement() {
    printf '{\\"Effect\\":\\"Allow\\",\\"Action\\":[%s],\\"Resource\\":\\"arn:aws:s3:::%s\\"}' \
        "$1" "$2"
}
get='\"s3:GetObject\"'
put='\"s3:PutObject\"'
list='\"s3:ListBucket\"'
statements="$(statement "$get,$put" "$HULEEDU_S3_BUCKET/*"),$(
    statement "$list" "$HULEEDU_S3_BUCKET"
)"
if [ -n "${HULEEDU_INBOX_BUCKET:-}" ]; then
    # What is handed in there is read and never changed.
    statements="$statements,$(statement "$get" "$HULEEDU_INBOX_BUCKET/*"),$(
        statement "$list" "$HULEEDU_INBOX_BUCKET"
    )"
fi

policy() {
    printf '{"name": "%s", "content": "{\\"Version\\":\\"2012-10-17\\",\\"Statement\\":[%s]}"}' \
        "$1" "$2"
}
policies="$(policy huleedu-blobs "$statements")"
droppers=""
if [ -n "${HULEEDU_INBOX_BUCKET:-}" ] && [ -n "${HULEEDU_INBOX_SECRET_KEY:-}" ]; then
    # For those who hand in there; they see nothing, not even what they put.
    policies="$policies, $(
        policy huleedu-inbox "$(statement "$put" "$HULEEDU_INBOX_BUCKET/*")"
    )"
    droppers=",
    {
      \"name\": \"huleedu-inbox\",
      \"credentials\": [
        {\"accessKey\": \"huleedu-inbox\", \"secretKey\": \"$HULEEDU_INBOX_SECRET_KEY\"}
      ],
      \"policyNames\": [\"huleedu-inbox\"]
    }"
fi

umask 077
config="${HULEEDU_S3_CONFIG:-/run/seaweedfs/s3.json}"
cat >"$config" <<JSON
{
  "identities": [
    {
      "name": "huleedu-set-up",
      "credentials": [
        {"accessKey": "huleedu-set-up", "secretKey": "$HULEEDU_S3_SETUP_SECRET_KEY"}
      ],
      "actions": ["Admin"]
    },
    {
      "name": "huleedu",
      "credentials": [{"accessKey": "huleedu", "secretKey": "$HULEEDU_S3_SECRET_KEY"}],
      "policyNames": ["huleedu-blobs"]
    }$droppers
  ],
  "policies": [$policies]
}
JSON

# Without a signing key the gateway takes new identities from whoever reaches its gRPC port, which
# cannot be had on another address than the gateway itself. All that signs is in this process.
WEED_JWT_FILER_SIGNING_KEY="$(od -A n -N 32 -t x1 /dev/urandom | tr -d ' \n')"
export WEED_JWT_FILER_SIGNING_KEY

# A put answers when the blob is on the disk (docs/storage.md). The server keeps this among its data
# and takes it only while it runs: its health check looks for the mark that is left here.
mark="$config.synced"
rm -f "$mark"
master=9333 master_grpc=19333 filer=8888 filer_grpc=18888
for option in "$@"; do
    case "$option" in
    -master.port=*) master="${option#*=}" ;;
    -master.port.grpc=*) master_grpc="${option#*=}" ;;
    -filer.port=*) filer="${option#*=}" ;;
    -filer.port.grpc=*) filer_grpc="${option#*=}" ;;
    esac
done
sync_blobs() {
    # `$$` is the server, once it is started: nothing goes on after its end.
    while sleep 1 && [ -e "/proc/$$/exe" ]; do
        if echo "fs.configure -locationPrefix=/buckets/ -fsync=true -apply" |
            timeout 10 weed shell "-master=127.0.0.1:$master.$master_grpc" \
                "-filer=127.0.0.1:$filer.$filer_grpc" >"$mark.new" 2>&1 &&
            grep -q '"fsync": *true' "$mark.new"; then
            mv "$mark.new" "$mark"
            return
        fi
    done
    echo "the S3 server was not told to write to the disk: $(tail -n 1 "$mark.new" 2>&1)" >&2
}
# From a shell that ends at once: the container's first process takes it over, not the server.
(sync_blobs &)

# The log goes to the container's, and not into files of its own.
exec weed -logtostderr=true "$@" "-s3.config=$config"
