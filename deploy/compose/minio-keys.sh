#!/bin/sh
# Makes HuleEdu's key on a MinIO server: it reads, writes and lists, and can delete nothing.
# May be run again.
set -eu

: "${HULEEDU_S3_SECRET_KEY:?is the secret key of HuleEdu}"
: "${HULEEDU_S3_BUCKET:?is the bucket of the blobs}"

inbox=""
if [ -n "${HULEEDU_INBOX_BUCKET:-}" ]; then
    inbox=",
    {
      \"Effect\": \"Allow\",
      \"Action\": [\"s3:GetObject\"],
      \"Resource\": [\"arn:aws:s3:::$HULEEDU_INBOX_BUCKET/*\"]
    },
    {
      \"Effect\": \"Allow\",
      \"Action\": [\"s3:ListBucket\"],
      \"Resource\": [\"arn:aws:s3:::$HULEEDU_INBOX_BUCKET\"]
    }"
fi
cat >/tmp/policy.json <<JSON
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": ["s3:GetObject", "s3:PutObject"],
      "Resource": ["arn:aws:s3:::$HULEEDU_S3_BUCKET/*"]
    },
    {
      "Effect": "Allow",
      "Action": ["s3:ListBucket"],
      "Resource": ["arn:aws:s3:::$HULEEDU_S3_BUCKET"]
    }$inbox
  ]
}
JSON

mc --quiet admin policy create s3 huleedu-blobs /tmp/policy.json
mc --quiet admin user add s3 huleedu "$HULEEDU_S3_SECRET_KEY"
# It is an error to attach what is attached already.
case "$(mc --quiet admin user info s3 huleedu)" in
*huleedu-blobs*) ;;
*) mc --quiet admin policy attach s3 huleedu-blobs --user huleedu ;;
esac
