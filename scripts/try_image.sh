#!/usr/bin/env bash
# Starts an image as a user without rights would, waits until it is healthy, and stops it: `scripts/try_image.sh IMAGE`.
set -euo pipefail
image=$1

test "$(docker image inspect --format '{{.Os}}/{{.Architecture}}' "$image")" = linux/amd64

container=$(docker run --detach --read-only --cap-drop ALL --security-opt no-new-privileges \
  --tmpfs /app/gateway/data:uid=10001,gid=0,mode=0770 --tmpfs /app/gateway/logs:uid=10001,gid=0,mode=0770 \
  --env KEYS=env --env ALLOWED_ADDRESSES=0x70997970C51812dc3A010C7d01b50e0d17dc79C8 --env WORKERS=2 \
  --health-interval 1s "$image")
trap 'docker logs "$container"; docker rm --force "$container" > /dev/null' EXIT

for _ in $(seq 60); do
  state=$(docker inspect --format '{{.State.Health.Status}}' "$container")
  [ "$state" != starting ] && break
  sleep 1
done
test "$state" = healthy

docker stop --time 20 "$container" > /dev/null
test "$(docker inspect --format '{{.State.ExitCode}}' "$container")" = 0
echo "$image is healthy, and stops when it is told to"
