#!/bin/sh
# Makes .venv-azure with Azure ML's own libraries: tests let them judge the files that this project reads and writes.
# They stay out of .venv, for they bring a hundred packages. Needs .venv; does nothing when all is there.
set -eu
cd "$(dirname "$0")/.."

# The last releases: the post-release of 1.61.0 has the base images' newer tags.
set -- azureml-core==1.61.0.post4 azure-ai-ml==1.35.0 docker

state="$*"
[ -f .venv-azure/judges.stamp ] && [ "$(cat .venv-azure/judges.stamp)" = "$state" ] &&
    .venv-azure/bin/python -c '' 2>/dev/null && exit 0
[ -x .venv/bin/python ] || { echo "judges: make the environment of the tests first: sh tools/setup.sh dev" >&2; exit 2; }

# uv knows nothing of pip's settings, which say where packages are.
setting() {
    .venv/bin/python -m pip config get "global.$1" 2>/dev/null || true
}
index=${PIP_INDEX_URL:-$(setting index-url)}
[ -z "$index" ] || export UV_DEFAULT_INDEX="$index"
export UV_INDEX="${PIP_EXTRA_INDEX_URL:-$(setting extra-index-url)}"
export UV_FIND_LINKS="${PIP_FIND_LINKS:-$(setting find-links)}"
export UV_INDEX_STRATEGY=unsafe-best-match
certificates=${PIP_CERT:-$(setting cert)}
[ -z "$certificates" ] || export SSL_CERT_FILE="$certificates"

echo "installing Azure ML's libraries into .venv-azure"
rm -rf .venv-azure
python=$(.venv/bin/python -c 'import sys; print(sys.executable)')
.venv/bin/uv venv -q --python "$python" .venv-azure
.venv/bin/uv pip install -q --python .venv-azure/bin/python "$@" || {
    rm -rf .venv-azure
    echo "judges: the libraries could not be installed: the tests that need them are skipped" >&2
    exit 2
}
printf '%s' "$state" > .venv-azure/judges.stamp
