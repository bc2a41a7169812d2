// SPDX-License-Identifier: Apache-2.0

// Command bundle writes an OLM bundle (registry+v1) from the manifests that kustomize builds, so that both ways of installing install
// the same. hack/bundle.sh calls it.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

const (
	packageName = "metalsuite"
	version     = "0.1.0"
	channel     = "stable"
)

func main() {
	install := flag.String("install", "", "file with the manifests that install the suite")
	samples := flag.String("samples", "", "file with sample resources")
	out := flag.String("out", "bundle", "folder to write")
	flag.Parse()
	if err := run(*install, *samples, *out); err != nil {
		fmt.Fprintln(os.Stderr, "bundle:", err)
		os.Exit(1)
	}
}

func run(install, samples, out string) error {
	source, err := readSource(install, samples)
	if err != nil {
		return err
	}
	csv, err := source.serviceVersion()
	if err != nil {
		return err
	}
	files, err := source.manifests()
	if err != nil {
		return err
	}
	files[filepath.Join("manifests", packageName+".clusterserviceversion.yaml")] = csv
	files[filepath.Join("metadata", "annotations.yaml")] = annotationsFile()
	files["bundle.Dockerfile"] = dockerfile()
	return write(out, files)
}

// write replaces the folder's generated parts.
func write(out string, files map[string][]byte) error {
	for _, folder := range []string{"manifests", "metadata"} {
		if err := os.RemoveAll(filepath.Join(out, folder)); err != nil {
			return fmt.Errorf("clearing %s: %w", folder, err)
		}
	}
	for name, content := range files {
		path := filepath.Join(out, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("creating a folder: %w", err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
	return nil
}
