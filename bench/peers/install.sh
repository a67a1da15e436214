#!/bin/sh
# Puts the peers under build/bench, each from its package: npm, PyPI, Debian. What can't be had is named, and left out of the table.
cd "$(dirname "$0")/../.." || exit 1
build=build/bench
uv=.venv/bin/uv
mkdir -p "$build/npm"

skipped() { echo "$1 is left out: it could not be installed." >&2; }

if ! cmp -s bench/peers/package-lock.json "$build/npm/package-lock.json" || ! test -d "$build/npm/node_modules"; then
    cp bench/peers/package.json bench/peers/package-lock.json "$build/npm/"
    npm ci --prefix "$build/npm" --omit=dev --no-audit --no-fund --loglevel error || {
        rm -rf "$build/npm"
        skipped "What comes from npm"
    }
fi

if ! cmp -s bench/peers/litellm.lock "$build/litellm/installed.lock"; then
    $uv venv --quiet --allow-existing "$build/litellm" &&
        $uv pip sync --quiet --require-hashes --python "$build/litellm/bin/python" bench/peers/litellm.lock &&
        cp bench/peers/litellm.lock "$build/litellm/installed.lock" || skipped LiteLLM
fi

# Debian's nginx, unpacked only: nothing is started, and nothing else of the machine changes.
if ! command -v nginx >/dev/null && ! test -x "$build/nginx/nginx"; then
    mkdir -p "$build/nginx" && (
        cd "$build/nginx" && apt-get download -qq nginx 2>/dev/null && dpkg-deb --extract nginx_*.deb unpacked &&
            cp unpacked/usr/sbin/nginx nginx && ./nginx -v
    ) || skipped nginx
fi
exit 0
