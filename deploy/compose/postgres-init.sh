#!/bin/sh
# Makes the role of HuleEdu and its two databases, once: when the data folder is new.
#
# The image runs it before the server takes connections from elsewhere. The ledger and Dagster have
# a database each: their tables and their migrations know nothing of each other.
set -eu

: "${HULEEDU_DATABASE_PASSWORD:?is the password of the role huleedu}"
# It becomes part of a URL, where other signs would have to be encoded.
case "$HULEEDU_DATABASE_PASSWORD" in
*[!A-Za-z0-9_-]*)
    echo "HULEEDU_DATABASE_PASSWORD may hold letters, digits, - and _ only" >&2
    exit 1
    ;;
esac

psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="${POSTGRES_USER:-postgres}" \
    --dbname=postgres <<'SQL'
\getenv password HULEEDU_DATABASE_PASSWORD
CREATE ROLE huleedu LOGIN PASSWORD :'password';
CREATE DATABASE huleedu_ledger OWNER huleedu;
CREATE DATABASE huleedu_dagster OWNER huleedu;
REVOKE CONNECT ON DATABASE huleedu_ledger, huleedu_dagster FROM PUBLIC;
SQL
