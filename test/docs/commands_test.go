// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

// pages returns what users read: the Markdown files of the root and of docs/ but the design notes, which tell of the past.
func pages(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(root, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(filepath.Join(root, "docs"), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && entry.Name() == "design" {
			return filepath.SkipDir
		}
		if err == nil && filepath.Ext(path) == ".md" {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestEveryCommandOfTheDocumentationExists(t *testing.T) {
	c, err := newChecker(root)
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, page := range pages(t) {
		content, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, command := range extract(string(content)) {
			checked++
			if err := c.check(command); err != nil {
				t.Errorf("%s:%d: %s: %v", strings.TrimPrefix(page, root+"/"), command.line, command, err)
			}
		}
	}
	if checked < 80 {
		t.Errorf("only %d commands were found", checked)
	}
}

var path = regexp.MustCompile("`((?:announcers|api|cmd|config|controllers|docs|endpointcopier|hack|internal|test)/[^` ]+)`")

func TestFilesThatContributingNamesExist(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(root, "CONTRIBUTING.md"))
	if err != nil {
		t.Fatal(err)
	}
	named := path.FindAllStringSubmatch(string(content), -1)
	if len(named) < 20 {
		t.Errorf("only %d paths were found", len(named))
	}
	for _, match := range named {
		if strings.HasSuffix(match[1], "/NAME") {
			continue
		}
		if found, err := filepath.Glob(filepath.Join(root, match[1])); err != nil || len(found) == 0 {
			t.Errorf("%s does not exist (%v)", match[1], err)
		}
	}
}

func TestMistakesInCommandsAreFound(t *testing.T) {
	c, err := newChecker(root)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]string{
		"kubectl apply -f config/samples":                        "use -k",
		"kubectl apply -f config/samples/gone.yaml":              "no such file",
		"kubectl apply -k config/gone":                           "kustomize build",
		"kubectl get ipadresspools":                              `unknown resource "ipadresspools"`,
		"kubectl wait -n metallb-system bgppear/r --for=x":       `unknown resource "bgppear"`,
		"kubectl describe pods,bgppeers,nonsense":                `unknown resource "nonsense"`,
		"kubectl -n metallb-system rollout restart thing/x":      `unknown resource "thing"`,
		"kubectl obtain pods":                                    "unknown subcommand",
		"make tset":                                              "no target",
		"make test-one PKG=./controllers/gone":                   "no such file",
		"metalsuite controler":                                   "unknown",
		"metalsuite controller --healt-probe-port=0":             "no flag",
		"go test ./internal/alocation":                           "no such file",
		"cd config/gone":                                         "no such file",
		"hack/gone.sh":                                           "no such file",
		"kubctl get pods":                                        "unknown program",
		"kubectl apply --server-side -k config/default":          "",
		"kubectl apply -f pool.yaml":                             "",
		"kubectl get metallb,pods,svc -A":                        "",
		"metalsuite controller --health-probe-port=0":            "",
		"FUZZTIME=1s make soak":                                  "",
		"kubectl get ipaddresspools.metallb.io -n NAMESPACE":     "",
		"kubectl -n metallb-system rollout restart ds/speaker":   "",
		"kubectl label node NODE metallb.io/drain- --overwrite":  "",
		"kubectl logs -n metallb-system deploy/controller":       "",
		"go test ./internal/allocation/... ./announcers/l2/NAME": "",
	}
	for text, want := range tests {
		t.Run(text, func(t *testing.T) {
			got := c.check(split(1, text)[0])
			if want == "" && got != nil || want != "" && (got == nil || !strings.Contains(got.Error(), want)) {
				t.Errorf("got %v, want %q", got, want)
			}
		})
	}
}
