// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

const root = "../.."

// built is what kustomize builds from the folders that hack/bundle.sh names, the first of which installs the suite.
var built = sync.OnceValues(func() (all [][]byte, err error) {
	script, err := os.ReadFile(filepath.Join(root, "hack", "bundle.sh"))
	if err != nil {
		return nil, err
	}
	for _, found := range regexp.MustCompile(`(?m)^kustomize build (\S+)`).FindAllSubmatch(script, -1) {
		command := exec.Command("go", "tool", "-modfile=hack/tools/go.mod", "kustomize", "build", string(found[1]))
		command.Dir = root
		var complaints bytes.Buffer
		command.Stderr = &complaints
		text, err := command.Output()
		if err != nil {
			return nil, fmt.Errorf("kustomize build %s: %w\n%s", found[1], err, complaints.String())
		}
		all = append(all, text)
	}
	if len(all) < 2 {
		return nil, fmt.Errorf("hack/bundle.sh builds %d folders", len(all))
	}
	return all, nil
})

// inputs returns the files that hack/bundle.sh hands to the generator.
func inputs(t *testing.T) (install, samples string) {
	t.Helper()
	all, err := built()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	install, samples = filepath.Join(folder, "install.yaml"), filepath.Join(folder, "samples.yaml")
	for path, text := range map[string][]byte{install: all[0], samples: bytes.Join(all[1:], []byte("---\n"))} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return install, samples
}

// files returns the content of every file below a folder by its path.
func files(t *testing.T, folder string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		name, relErr := filepath.Rel(folder, path)
		all[name] = string(content)
		return errors.Join(err, relErr)
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// differences names the files in which two folders differ.
func differences(a, b map[string]string) []string {
	both := maps.Clone(a)
	maps.Copy(both, b)
	maps.DeleteFunc(both, func(name, _ string) bool {
		x, inA := a[name]
		y, inB := b[name]
		return inA && inB && x == y
	})
	return slices.Sorted(maps.Keys(both))
}

func TestTheCommittedBundleIsWhatTheGeneratorWritesEachTime(t *testing.T) {
	install, samples := inputs(t)
	committed := files(t, filepath.Join(root, "bundle"))
	out := t.TempDir()
	for i := range 5 {
		if err := run(install, samples, out); err != nil {
			t.Fatal(err)
		}
		if differ := differences(files(t, out), committed); len(differ) > 0 {
			t.Fatalf("run %d: %v differ from bundle/: run hack/bundle.sh, or find what has no order", i, differ)
		}
	}
}

func TestFilesOfAnEarlierRunAreRemoved(t *testing.T) {
	install, samples := inputs(t)
	out := t.TempDir()
	if err := os.MkdirAll(filepath.Join(out, "manifests"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(out, "manifests", "former.yaml"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(install, samples, out); err != nil {
		t.Fatal(err)
	}
	if _, left := files(t, out)[filepath.Join("manifests", "former.yaml")]; left {
		t.Error("a file that nobody writes any more is still there")
	}
}

func TestManifestsThatWouldNotReachTheBundleWholeAreRefused(t *testing.T) {
	install, samples := inputs(t)
	good, err := os.ReadFile(install)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ name, from, to, want string }{
		{"a field that a Deployment does not have", "revisionHistoryLimit:", "revisionHistoryLimits:", `unknown field "spec.revisionHistoryLimits"`},
		{"a field that a webhook does not have", "failurePolicy:", "failurePolice:", "failurePolice"},
		{"a field that a role does not have", "resourceNames:", "resourceName:", "resourceName"},
		{"no Deployment", "kind: Deployment", "kind: Job", "found 0 deployments"},
		{"a webhook without a path", "      path: /", "      port: 443 # /", "has no Service with a path"},
		{"no YAML", "kind: Deployment", "kind: [", "decoding"},
	} {
		t.Run(row.name, func(t *testing.T) {
			text := string(good)
			if !strings.Contains(text, row.from) {
				t.Fatalf("%q is not in the manifests", row.from)
			}
			path := filepath.Join(t.TempDir(), "install.yaml")
			if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, row.from, row.to)), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := run(path, samples, t.TempDir()); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v, want %q", err, row.want)
			}
		})
	}
}
