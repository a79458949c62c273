#!/bin/sh
# Starts Valkey with a password, which is on no command line and in no file.
set -eu

: "${HULEEDU_BROKER_PASSWORD:?is the password of the broker}"
case "$HULEEDU_BROKER_PASSWORD" in
*[!A-Za-z0-9_-]*)
    echo "HULEEDU_BROKER_PASSWORD may hold letters, digits, - and _ only" >&2
    exit 1
    ;;
esac

# Configuration from standard input; the options of the command line come after it.
exec valkey-server - "$@" <<CONFIGURATION
requirepass $HULEEDU_BROKER_PASSWORD
CONFIGURATION
