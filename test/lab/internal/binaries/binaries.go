// SPDX-License-Identifier: Apache-2.0

// Package binaries builds Kubernetes and etcd from Go modules into a cache that all checkouts of this machine share.
//
// It knows the pinned module test/lab/kubernetes and the Go tool, and nothing of hosts or clusters. One build runs at a time on a machine: a file lock
// makes a second caller wait for the first and find its work done.
package binaries

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"metalsuite.io/test/lab/internal/machine"
)

// Module is the pinned module, relative to the root of the checkout.
const Module = "test/lab/kubernetes"

// Envtest is what controller-runtime's envtest needs, All what the lab needs; both in the order of building.
var (
	Envtest = []string{"etcd", "kubectl", "kube-apiserver"}
	All     = []string{"etcd", "kubectl", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet"}
)

// Builder builds from one checkout.
type Builder struct {
	// Checkout is the root of the checkout.
	Checkout string
	// Progress gets one line per event.
	Progress func(format string, args ...any)
}

// Version reads the pinned version of Kubernetes, without the v.
func Version(checkout string) (string, error) {
	mod, err := os.ReadFile(filepath.Join(checkout, Module, "go.mod"))
	if err != nil {
		return "", fmt.Errorf("reading the pinned version: %w", err)
	}
	found := regexp.MustCompile(`(?m)^(?:require)?\s+k8s\.io/kubernetes v(\S+)`).FindSubmatch(mod)
	if found == nil {
		return "", errors.New("no version of k8s.io/kubernetes in " + Module + "/go.mod")
	}
	return string(found[1]), nil
}

// Folder is where the binaries of this checkout's pinned version are, built or not.
func Folder(checkout string) (string, error) {
	version, err := Version(checkout)
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the cache folder: %w", err)
	}
	return filepath.Join(cache, "metalsuite-lab", "kubernetes-"+version+"-"+runtime.Version()), nil
}

// Build makes sure that the named binaries exist and returns their folder.
func (b Builder) Build(ctx context.Context, names []string) (string, error) {
	folder, err := Folder(b.Checkout)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", fmt.Errorf("making the cache folder: %w", err)
	}
	unlock, err := machine.Lock(ctx, filepath.Join(folder, "lock"), func() { b.Progress("waiting for another build to finish") })
	if err != nil {
		return "", err
	}
	defer unlock()
	return folder, b.build(ctx, folder, names)
}

func (b Builder) build(ctx context.Context, folder string, names []string) error {
	if err := b.refreshStamp(folder); err != nil {
		return err
	}
	missing := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return exists(filepath.Join(folder, name)) })
	if len(missing) == 0 {
		b.Progress("Kubernetes binaries: all %d found in %s", len(names), folder)
		return nil
	}
	b.Progress("building %d Kubernetes binaries (cold: about 12 minutes for all on 2 cores, kube-apiserver the most)", len(missing))
	for i, name := range missing {
		if err := b.one(ctx, folder, name, fmt.Sprintf("%s (%d of %d)", name, i+1, len(missing))); err != nil {
			return err
		}
	}
	return nil
}

// refreshStamp empties the folder when what it holds was built from other pins or by other flags.
func (b Builder) refreshStamp(folder string) error {
	version, err := Version(b.Checkout)
	if err != nil {
		return err
	}
	sum := sha256.New()
	for _, file := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join(b.Checkout, Module, file))
		if err != nil {
			return fmt.Errorf("reading the pins: %w", err)
		}
		sum.Write(content)
	}
	fmt.Fprint(sum, kubernetesFlags(version), sharedFlags, runtime.GOOS, runtime.GOARCH)
	want, stamp := []byte(hex.EncodeToString(sum.Sum(nil))), filepath.Join(folder, "stamp")
	if got, err := os.ReadFile(stamp); err == nil && bytes.Equal(got, want) {
		return nil
	}
	for _, name := range All {
		if err := os.RemoveAll(filepath.Join(folder, name)); err != nil {
			return fmt.Errorf("removing a stale binary: %w", err)
		}
	}
	return os.WriteFile(stamp, want, 0o644)
}

func kubernetesFlags(version string) string {
	minor := strings.Split(version, ".")[1]
	const set = " -X k8s.io/component-base/version."
	return "-s -w" + set + "gitVersion=v" + version + set + "gitMajor=1" + set + "gitMinor=" + minor
}

// sharedFlags are those of the project's own builds (Makefile), and the versions of modules are the same ones (test/arch), so that packages of
// both are compiled once. The linker drops DWARF in any case (-w).
var sharedFlags = []string{"-trimpath", "-tags=grpcnotrace", "-gcflags=all=-dwarf=false"}

// one builds a binary under another name and renames it: whatever has the final name is whole.
func (b Builder) one(ctx context.Context, folder, name, title string) error {
	version, err := Version(b.Checkout)
	if err != nil {
		return err
	}
	flags, pkg := kubernetesFlags(version), "k8s.io/kubernetes/cmd/"+name
	if name == "etcd" {
		flags, pkg = "-s -w", "go.etcd.io/etcd/server/v3"
	}
	partial, logFile := filepath.Join(folder, "."+name), filepath.Join(folder, name+".log")
	cmd := exec.CommandContext(ctx, "go", append(append([]string{"build"}, sharedFlags...), "-ldflags", flags, "-o", partial, pkg)...)
	cmd.Dir = filepath.Join(b.Checkout, Module)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	if err := b.run(cmd, logFile, title); err != nil {
		return fmt.Errorf("building %s (log: %s): %w", name, logFile, err)
	}
	return os.Rename(partial, filepath.Join(folder, name))
}

func (b Builder) run(cmd *exec.Cmd, logFile, title string) error {
	log, err := os.Create(logFile)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd.Stdout, cmd.Stderr = log, log
	start := time.Now()
	b.Progress("building %s", title)
	done := make(chan error, 1)
	go func() { done <- cmd.Run() }()
	tick := time.NewTicker(30 * time.Second)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			if err == nil {
				b.Progress("built %s in %s", title, time.Since(start).Round(time.Second))
			}
			return err
		case <-tick.C:
			b.Progress("building %s, %s so far", title, time.Since(start).Round(time.Second))
		}
	}
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
