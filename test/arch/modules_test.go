// SPDX-License-Identifier: Apache-2.0

package arch

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

// beside are the modules of this repository beside the program's own: what they share with it and with each other is compiled once if the
// versions are the same.
var beside = []string{"hack/tools", "test/bundle", "test/lab/kubernetes"}

// differing are modules of which two versions are needed: Kubernetes replaces the versions of its own tools.
var differing = []string{"sigs.k8s.io/kustomize/api", "sigs.k8s.io/kustomize/kustomize/v5", "sigs.k8s.io/kustomize/kyaml"}

func TestAllModulesUseTheSameVersions(t *testing.T) {
	newest, folder := map[string]string{}, map[string]string{}
	versions := map[string]map[string]string{}
	for _, name := range append([]string{"."}, beside...) {
		versions[name] = required(t, filepath.Join("..", "..", name, "go.mod"))
		for module, version := range versions[name] {
			if semver.Compare(version, newest[module]) > 0 {
				newest[module], folder[module] = version, name
			}
		}
	}
	for name, all := range versions {
		for module, version := range all {
			if version != newest[module] && !slices.Contains(differing, module) {
				t.Errorf("%s/go.mod has %s %s, %s/go.mod has %s: cd %s && go get %s@%s && go mod tidy",
					name, module, version, folder[module], newest[module], name, module, newest[module])
			}
		}
	}
}

// required returns the version of each module that a go.mod requires, after its replacements.
func required(t *testing.T, path string) map[string]string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := modfile.Parse(path, content, nil)
	if err != nil {
		t.Fatal(err)
	}
	versions := map[string]string{}
	for _, r := range file.Require {
		versions[r.Mod.Path] = r.Mod.Version
	}
	for _, r := range file.Replace {
		if _, ok := versions[r.Old.Path]; ok && r.New.Path == r.Old.Path {
			versions[r.Old.Path] = r.New.Version
		}
	}
	return versions
}
