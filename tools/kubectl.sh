#!/usr/bin/env bash
# Builds the real kubectl of the reference version into the tools cache, by the Go module proxy, and prints its path.
set -euo pipefail
version=${KUBECTL_VERSION:-v0.37.2}
cache=${KUBOTTLE_TOOLS:-$HOME/.cache/kubottle/tools}
binary="$cache/bin/kubectl-$version"
if [[ ! -x $binary ]]; then
    work=$(mktemp -d)
    trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
    cat >"$work/main.go" <<'GO'
package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
)

func main() {
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err)
		os.Exit(1)
	}
}
GO
    mkdir -p "$cache/bin"
    git="v1.${version#v0.}"
    (
        cd "$work"
        go mod init kubectl >/dev/null 2>&1
        go get "k8s.io/kubectl@$version" "k8s.io/component-base@$version" >&2
        go mod tidy >&2
        go build -trimpath -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$git -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=${version:3:2}" -o "$binary" .
    )
fi
echo "$binary"
