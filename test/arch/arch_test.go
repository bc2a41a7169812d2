// SPDX-License-Identifier: Apache-2.0

package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "metalsuite.io"

func TestImports(t *testing.T) {
	g := list(t)
	for _, violation := range append(checkRooms(g, rooms), checkBans(g, bans)...) {
		t.Error(violation)
	}
}

// list reads the graph of the whole module. The tag leaves out a file that only keeps dependencies in go.mod.
func list(t *testing.T) graph {
	t.Helper()
	command := exec.Command("go", "list", "-e", "-deps", "-tags=nodeps", "-json=ImportPath,Imports,Deps,Standard", "./...")
	command.Dir = "../.."
	var complaints bytes.Buffer
	command.Stderr = &complaints
	out, err := command.Output()
	if err != nil {
		t.Fatalf("listing the packages: %v\n%s", err, complaints.String())
	}
	g, err := parse(bytes.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func parse(r io.Reader) (graph, error) {
	g := graph{}
	for decoder := json.NewDecoder(r); ; {
		var n node
		if err := decoder.Decode(&n); errors.Is(err, io.EOF) {
			return g, nil
		} else if err != nil {
			return nil, err
		}
		n.ImportPath = local(n.ImportPath)
		for i := range n.Imports {
			n.Imports[i] = local(n.Imports[i])
		}
		for i := range n.Deps {
			n.Deps[i] = local(n.Deps[i])
		}
		g[n.ImportPath] = n
	}
}

func local(path string) string {
	if rest, ok := strings.CutPrefix(path, module); ok && (rest == "" || rest[0] == '/') {
		return "." + rest
	}
	return path
}

// made is a small house in which everything is right. Tests spoil it.
func made() graph {
	g := graph{}
	for _, std := range []string{"fmt", "time", "net/netip", "log/slog"} {
		g[std] = node{ImportPath: std, Standard: true}
	}
	add := func(path string, imports ...string) {
		deps := append([]string{}, imports...)
		for _, i := range imports {
			deps = append(deps, g[i].Deps...)
		}
		g[path] = node{ImportPath: path, Imports: imports, Deps: deps}
	}
	add("k8s.io/client-go/rest", "fmt")
	add("github.com/wrapper", "k8s.io/client-go/rest")
	add("github.com/filters", "k8s.io/apiserver/pkg/server")
	add("./api/reason", "fmt")
	add("./internal/election", "net/netip", "./api/reason")
	add("./internal/kube", "k8s.io/client-go/rest", "./api/reason")
	add("./internal/membership", "time")
	add("./controllers/operator", "./internal/kube")
	add("./controllers/speaker", "./internal/election", "./internal/membership")
	add("./cmd", "./controllers/speaker", "./controllers/operator")
	add(".", "./cmd")
	return g
}

// with returns the house after one package got one more import.
func (g graph) with(path, extra string) graph {
	n := g[path]
	n.ImportPath = path
	n.Imports = append(append([]string{}, n.Imports...), extra)
	n.Deps = append(append(append([]string{}, n.Deps...), extra), g[extra].Deps...)
	g[path] = n
	return g
}

func planned[T any](all []T, set func(*T)) []T {
	changed := append([]T{}, all...)
	for i := range changed {
		set(&changed[i])
	}
	return changed
}

// A test that cannot fail is worse than none: every kind of violation is found in a made-up house.
func TestViolationsAreFound(t *testing.T) {
	rooms := planned(rooms, func(r *room) { r.planned = true })
	bans := planned(bans, func(b *ban) { b.planned = true })
	tests := []struct {
		name, from, to string
		want           []string // a fragment of each violation, in order
	}{
		{"everything is right", "./cmd", "fmt", nil},
		{"upwards", "./internal/kube", "./controllers/operator", []string{"imports run down"}},
		{"sideways", "./internal/kube", "./internal/membership", []string{"imports run down"}},
		{"siblings", "./controllers/speaker", "./controllers/operator", []string{"imports run down"}},
		{"within floor 0", "./internal/election", "./internal/allocation", nil},
		{"no room", "./internal/helpers", "fmt", []string{"has no room"}},
		{"a clock on floor 0", "./internal/election", "time", []string{"no clock"}},
		{"a log on floor 0", "./api/reason", "log/slog", []string{"no clock"}},
		{"a library on floor 0", "./internal/election", "github.com/wrapper", []string{
			"./internal/election imports github.com/wrapper: floor 0", "imports k8s.io/client-go/rest by way of github.com/wrapper: floor 0"}},
		{"a client in the membership, indirectly", "./internal/membership", "github.com/wrapper", []string{"by way of github.com/wrapper: announcing goes on"}},
		{"memberlist elsewhere", "./controllers/speaker", "github.com/hashicorp/memberlist", []string{"the membership is a port"}},
		{"GoBGP elsewhere", "./announcers/bgp/gobgp2", "github.com/osrg/gobgp/v3/pkg/server", []string{"one adapter"}},
		{"GoBGP in its adapter", "./announcers/bgp/gobgp", "github.com/osrg/gobgp/v3/pkg/server", nil},
		{"a module named by a controller", "./controllers/speaker", "./announcers/l2", []string{"the registry"}},
		{"a module named by a command", "./cmd/speaker", "./announcers/l2", nil},
		{"modules know each other", "./announcers/bgp", "./announcers/l2/link", []string{"imports run down"}},
		{"frames in a controller, by what the modules share", "./controllers/speaker", "./internal/hostnet", []string{"frames and links"}},
		{"what the modules share grows", "./internal/hostnet", "./announcers", []string{"imports run down", "only the kernel"}},
		{"main does something", ".", "./controllers/speaker", []string{"main calls cmd"}},
		{"main uses a library", ".", "github.com/wrapper", []string{"main calls cmd"}},
		{"the library of API servers in the binary", ".", "github.com/filters", []string{"by way of github.com/filters: a library for servers", "main calls cmd"}},
		{"the contract grows", "./announcers", "github.com/go-logr/logr", []string{"a third announcer"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			g := made().with(test.from, test.to)
			got := append(checkRooms(g, rooms), checkBans(g, bans)...)
			if len(got) != len(test.want) {
				t.Fatalf("got %q, want %q", got, test.want)
			}
			for i := range got {
				if !strings.Contains(got[i], test.want[i]) {
					t.Errorf("got %q, want %q", got[i], test.want[i])
				}
			}
		})
	}
}

func TestEmptyRulesAreFound(t *testing.T) {
	g := made()
	if got := checkRooms(g, append([]room{{floor: 1, packages: []string{"./gone"}}}, rooms...)); !strings.Contains(strings.Join(got, "\n"), "the room of [./gone] is empty") {
		t.Errorf("got %q", got)
	}
	if got := checkBans(g, []ban{{packages: []string{"./gone/..."}, forbid: []string{"fmt"}, why: "told"}}); len(got) != 1 || !strings.Contains(got[0], "meets no package (told)") {
		t.Errorf("got %q", got)
	}
}
