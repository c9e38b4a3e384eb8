# The entry point of object-store-seaweedfs: writes the keys and their rights into a file for this process alone, and
# starts the store. The rights are those that deploy/compose/bucket.py gives to MinIO's users.
set -eu
umask 077
identity() { # NAME KEY SECRET ACTIONS
    printf '{"name": "%s", "credentials": [{"accessKey": "%s", "secretKey": "%s"}], "actions": [%s]}' "$@"
}
sources=""
for bucket in $(printf %s "${SOURCE_BUCKETS:-}" | tr , ' '); do
    sources="$sources, \"Read:$bucket\", \"List:$bucket\""
done
{
    printf '{"identities": [\n'
    identity root "$ROOT_KEY" "$ROOT_SECRET" '"Admin", "Read", "List", "Tagging", "Write"'
    printf ',\n'
    identity service "$SERVICE_KEY" "$SERVICE_SECRET" \
        "\"Read:$BUCKET\", \"List:$BUCKET\", \"Write:$BUCKET/lake/*\"$sources"
    printf ',\n'
    identity reader "$READER_KEY" "$READER_SECRET" "\"Read:$BUCKET/lake/*\", \"List:$BUCKET\""
    printf ',\n'
    identity uploader "$UPLOADER_KEY" "$UPLOADER_SECRET" \
        "\"Read:$BUCKET\", \"List:$BUCKET\", \"Write:$BUCKET/photos/*\", \"Write:$BUCKET/check/*\""
    printf '\n]}\n'
} >/tmp/identities.json
exec weed -logtostderr server -dir=/data -volume.max=0 -master.volumeSizeLimitMB=1024 -s3 -s3.port=9000 -s3.config=/tmp/identities.json
