// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"metalsuite.io/cmd"
)

// foreign are programs that are not ours: their commands are for the reader's own machine, router or registry and cannot be checked here.
var foreign = map[string]string{
	"arping": "client", "birdc": "router", "bgp": "router", "cat": "shell", "ctr": "node", "curl": "client", "docker": "registry", "grep": "shell",
	"ip": "node", "k3s": "node", "ndisc6": "client", "nft": "node", "nsenter": "node", "sh": "shell", "sysctl": "node", "tcpdump": "node",
	"vtysh": "router", "base64": "shell", "git": "shell", "openssl": "shell", "tr": "shell", ".": "shell", "source": "shell", "export": "shell",
}

// builtin are the resources of Kubernetes that the pages name, in the spellings that kubectl takes.
var builtin = []string{
	"all", "clusterrole", "clusterroles", "clusterrolebinding", "clusterrolebindings", "configmap", "configmaps", "crd", "crds", "daemonset", "daemonsets",
	"ds", "deployment", "deployments", "deploy", "endpoints", "endpointslice", "endpointslices", "event", "events", "lease", "leases", "namespace",
	"namespaces", "node", "nodes", "pod", "pods", "secret", "secrets", "service", "services", "svc", "validatingwebhookconfiguration",
	"validatingwebhookconfigurations", "customresourcedefinitions", "networkpolicy", "networkpolicies", "role", "roles", "rolebinding", "rolebindings", "serviceaccount", "serviceaccounts",
}

// withResources are the subcommands of kubectl whose first argument is a resource; the others take files or nothing that is checked.
var (
	withResources = []string{"get", "describe", "delete", "wait", "label", "annotate", "patch", "edit", "scale", "explain", "rollout"}
	others        = []string{"apply", "create", "replace", "events", "logs", "drain", "cordon", "uncordon", "auth", "exec", "debug", "top", "version", "taint"}
	placeholder   = regexp.MustCompile(`^[A-Z][A-Z0-9_-]*$`)
)

// checker knows the checkout.
type checker struct {
	root      string
	targets   []string
	resources []string
	built     map[string]error
}

func newChecker(root string) (*checker, error) {
	c := &checker{root: root, resources: slices.Clone(builtin), built: map[string]error{}}
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		return nil, err
	}
	for _, match := range regexp.MustCompile(`(?m)^([a-z0-9-]+):`).FindAllStringSubmatch(string(makefile), -1) {
		c.targets = append(c.targets, match[1])
	}
	files, err := filepath.Glob(filepath.Join(root, "config", "crd", "bases", "*.yaml"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.Unmarshal(content, &crd); err != nil {
			return nil, fmt.Errorf("reading %s: %w", file, err)
		}
		c.resources = append(append(c.resources, crd.Spec.Names.Plural, crd.Spec.Names.Singular), crd.Spec.Names.ShortNames...)
	}
	return c, nil
}

// check returns the mistake in a command; nil when there is none, or none that can be found here.
func (c *checker) check(cmd command) error {
	program, args := cmd.words[0], cmd.words[1:]
	switch program {
	case "kubectl", "$LAB_KUBECTL":
		return c.kubectl(args)
	case "make":
		return c.make(args)
	case "metalsuite", "/metalsuite":
		return metalsuite(args)
	case "go":
		return c.packages(args)
	case "cd":
		return c.folder(args)
	case "kustomize":
		return c.kustomize(args)
	}
	if strings.HasPrefix(program, "hack/") {
		return c.exists(program)
	}
	if _, known := foreign[program]; !known && !placeholder.MatchString(program) {
		return fmt.Errorf("unknown program %q: add it to the list of foreign programs if the reader has it", program)
	}
	return nil
}

func (c *checker) kubectl(args []string) error {
	plain, flags := arguments(args)
	for _, f := range flags {
		name, value, _ := strings.Cut(f, "=")
		switch name {
		case "-f", "--filename":
			if err := c.manifest(value); err != nil {
				return err
			}
		case "-k", "--kustomize":
			if err := c.build(value); err != nil {
				return err
			}
		}
	}
	if len(plain) == 0 {
		return fmt.Errorf("no subcommand")
	}
	verb, rest := plain[0], plain[1:]
	if verb == "rollout" && len(rest) > 0 {
		rest = rest[1:]
	}
	if !slices.Contains(withResources, verb) && !slices.Contains(others, verb) {
		return fmt.Errorf("unknown subcommand %q of kubectl", verb)
	}
	if !slices.Contains(withResources, verb) || len(rest) == 0 {
		return nil
	}
	types, _, _ := strings.Cut(rest[0], "/")
	for _, name := range strings.Split(types, ",") {
		name, _, _ = strings.Cut(name, ".") // a group or, for explain, a field
		if !placeholder.MatchString(name) && !slices.Contains(c.resources, strings.ToLower(name)) {
			return fmt.Errorf("unknown resource %q", name)
		}
	}
	return nil
}

// valued are the flags of kubectl whose value may be the next word.
var valued = []string{"-n", "--namespace", "-f", "--filename", "-k", "--kustomize", "-o", "--output", "-l", "--selector", "-L", "-c", "--for", "--type", "-p", "--field-selector"}

// arguments divides the words of kubectl into plain ones and flags, each flag in the form NAME=VALUE.
func arguments(words []string) (plain, flags []string) {
	for i := 0; i < len(words); i++ {
		switch {
		case !strings.HasPrefix(words[i], "-") || words[i] == "-":
			plain = append(plain, words[i])
		case slices.Contains(valued, words[i]) && i+1 < len(words):
			flags = append(flags, words[i]+"="+words[i+1])
			i++
		default:
			flags = append(flags, words[i])
		}
	}
	return plain, flags
}

// manifest checks the argument of kubectl -f. A file without a folder is the reader's own.
func (c *checker) manifest(path string) error {
	if path == "-" || !strings.Contains(path, "/") || strings.Contains(path, "://") {
		return nil
	}
	if _, err := os.Stat(filepath.Join(c.root, path, "kustomization.yaml")); err == nil {
		return fmt.Errorf("%s holds a kustomization, which kubectl -f does not understand: use -k", path)
	}
	return c.exists(path)
}

func (c *checker) exists(path string) error {
	_, err := os.Stat(filepath.Join(c.root, path))
	return err
}

// build builds a kustomization, each once.
func (c *checker) build(path string) error {
	if placeholder.MatchString(path) {
		return nil
	}
	if err, done := c.built[path]; done {
		return err
	}
	command := exec.Command("go", "tool", "-modfile=hack/tools/go.mod", "kustomize", "build", path)
	command.Dir = c.root
	out, err := command.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("kustomize build %s: %w: %s", path, err, out)
	}
	c.built[path] = err
	return err
}

func (c *checker) kustomize(args []string) error {
	if len(args) == 2 && args[0] == "build" {
		return c.build(args[1])
	}
	if len(args) == 4 && strings.Join(args[:3], " ") == "edit set image" {
		return nil
	}
	return fmt.Errorf("unknown form of kustomize")
}

func (c *checker) make(args []string) error {
	for _, a := range args {
		if _, value, set := strings.Cut(a, "="); set && strings.HasPrefix(value, "./") {
			if err := c.exists(value); err != nil {
				return err
			}
		}
		if !strings.Contains(a, "=") && !placeholder.MatchString(a) && !slices.Contains(c.targets, a) {
			return fmt.Errorf("the Makefile has no target %q", a)
		}
	}
	return nil
}

// metalsuite checks subcommands and flags of our own program.
func metalsuite(args []string) error {
	command, rest, err := cmd.New().Find(args)
	if err != nil {
		return err
	}
	if len(args) > 0 && command.Name() == "metalsuite" && !strings.HasPrefix(args[0], "-") {
		return fmt.Errorf("unknown subcommand %q", args[0])
	}
	for _, word := range rest {
		name, found := strings.CutPrefix(word, "--")
		name, _, _ = strings.Cut(name, "=")
		if found && name != "help" && command.Flags().Lookup(name) == nil {
			return fmt.Errorf("%s has no flag --%s", command.Name(), name)
		}
	}
	return nil
}

// packages checks the packages that a go command names.
func (c *checker) packages(args []string) error {
	for _, a := range args {
		if folder, ours := strings.CutPrefix(a, "./"); ours && !placeholder.MatchString(filepath.Base(folder)) {
			if err := c.exists(strings.TrimSuffix(folder, "...")); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *checker) folder(args []string) error {
	if len(args) != 1 || args[0] == "-" || placeholder.MatchString(args[0]) {
		return nil
	}
	return c.exists(args[0])
}
