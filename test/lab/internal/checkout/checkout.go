// SPDX-License-Identifier: Apache-2.0

// Package checkout finds the root of the source tree and the files that the lab keeps there. It changes nothing.
package checkout

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const module = "module metalsuite.io\n"

// Root is the nearest folder at or above the working folder that holds the suite's go.mod.
func Root() (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the working folder: %w", err)
	}
	for ; ; folder = filepath.Dir(folder) {
		content, err := os.ReadFile(filepath.Join(folder, "go.mod"))
		if err == nil && strings.HasPrefix(string(content), module) {
			return folder, nil
		}
		if folder == filepath.Dir(folder) {
			return "", errors.New("not inside a checkout of metalsuite: no go.mod of it at or above the working folder")
		}
	}
}

// State is the folder of the lab's files in a checkout.
func State(root string) string { return filepath.Join(root, ".lab") }

// Env is the file that exports the lab's interface to scripts.
func Env(root string) string { return filepath.Join(State(root), "env") }

// Logs is the folder of the lab's logs.
func Logs(root string) string { return filepath.Join(State(root), "log") }
