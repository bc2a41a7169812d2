// SPDX-License-Identifier: Apache-2.0

package binaries

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestVersionIsReadFromThePins(t *testing.T) {
	for name, row := range map[string]struct {
		mod, want string
		fails     bool
	}{
		"a block":    {"module m\n\nrequire (\n\tgo.etcd.io/etcd/server/v3 v3.6.8\n\tk8s.io/kubernetes v1.36.3\n)\n", "1.36.3", false},
		"no version": {"module m\n", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			pins := filepath.Join(root, Module)
			if err := os.MkdirAll(pins, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(pins, "go.mod"), []byte(row.mod), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := Version(root)
			if got != row.want || (err != nil) != row.fails {
				t.Errorf("got %q, %v, want %q", got, err, row.want)
			}
		})
	}
}

func TestOtherPinsEmptyTheFolder(t *testing.T) {
	root, folder := t.TempDir(), t.TempDir()
	pins := filepath.Join(root, Module)
	if err := os.MkdirAll(pins, 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(pins, "go.mod"), "require k8s.io/kubernetes v1.36.3\n")
	write(filepath.Join(pins, "go.sum"), "one\n")
	builder := Builder{Checkout: root, Progress: t.Logf}
	kept := func() bool {
		t.Helper()
		if err := builder.refreshStamp(folder); err != nil {
			t.Fatal(err)
		}
		return exists(filepath.Join(folder, "etcd"))
	}
	kept()
	write(filepath.Join(folder, "etcd"), "binary")
	if !kept() {
		t.Error("the same pins removed a binary")
	}
	write(filepath.Join(pins, "go.sum"), "two\n")
	if kept() {
		t.Error("other pins kept a binary")
	}
}

func TestEnvtestIsPartOfAll(t *testing.T) {
	for _, name := range Envtest {
		if !slices.Contains(All, name) {
			t.Errorf("%s is not among all", name)
		}
	}
}
