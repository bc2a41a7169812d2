// SPDX-License-Identifier: Apache-2.0

package arch

// room is a set of packages that may import each other.
type room struct {
	// floor is the height of the room; imports run downwards only.
	floor int
	// packages are patterns, see match.
	packages []string
	// planned rooms may be empty still.
	planned bool
}

// rooms has exactly one place for every package of the module; of two that match the first counts.
var rooms = []room{
	{floor: 0, packages: []string{"./api/reason", "./internal/allocation", "./internal/election", "./internal/route"}},
	{floor: 1, packages: []string{"./api/v1beta1", "./api/v1beta2"}},
	{floor: 1, packages: []string{"./announcers"}},
	{floor: 1, packages: []string{"./internal/hostnet"}},
	{floor: 2, packages: []string{"./internal/policy"}},
	{floor: 2, packages: []string{"./internal/installation"}},
	{floor: 2, packages: []string{"./internal/kube"}},
	{floor: 2, packages: []string{"./internal/membership"}},
	{floor: 2, packages: []string{"./announcers/announcertest"}},
	{floor: 2, packages: []string{"./announcers/l2/..."}},
	{floor: 2, packages: []string{"./announcers/bgp/..."}},
	{floor: 3, packages: []string{"./controllers/admission/..."}},
	{floor: 3, packages: []string{"./controllers/operator/..."}},
	{floor: 3, packages: []string{"./controllers/peering/..."}},
	{floor: 3, packages: []string{"./controllers/service/..."}},
	{floor: 3, packages: []string{"./controllers/speaker/..."}},
	{floor: 3, packages: []string{"./endpointcopier/..."}},
	{floor: 4, packages: []string{"./cmd/..."}},
	{floor: 5, packages: []string{"."}},
	{floor: 6, packages: []string{"./test/...", "./hack/..."}},
}

// ban forbids imports to packages.
type ban struct {
	// packages that are meant, but for the exceptions.
	packages, except []string
	// forbid are the imports that they may not have.
	forbid []string
	// allow turns it round: imports outside the standard library that are not listed here are forbidden.
	allow []string
	// indirect counts what comes in by way of other packages too.
	indirect bool
	// why is told with every violation.
	why string
	// planned bans may meet no package still.
	planned bool
}

var (
	pure           = []string{"./api/reason", "./internal/allocation", "./internal/election", "./internal/route"}
	modules        = []string{"./announcers/l2/...", "./announcers/bgp/..."}
	clusterClients = []string{"k8s.io/client-go/...", "sigs.k8s.io/controller-runtime/..."}
)

var bans = []ban{
	{
		packages: pure,
		allow:    append([]string{"go4.org/netipx"}, pure...),
		indirect: true,
		why:      "floor 0 decides from values alone, so that it can be tested and reused without a cluster",
	},
	{
		packages: pure,
		forbid:   []string{"time", "os", "log/...", "net", "math/rand/...", "context"},
		why:      "floor 0 has no clock, no chance, no log and nothing to wait for: time and randomness come in as arguments",
	},
	{
		packages: []string{"./api/v1beta1", "./api/v1beta2"},
		allow:    append([]string{"./api/...", "k8s.io/apimachinery/...", "k8s.io/api/..."}, pure...),
		why:      "whoever imports our API types must not get our machinery with them",
	},
	{
		packages: []string{"./api/v1beta1", "./api/v1beta2"},
		forbid:   clusterClients,
		indirect: true,
		why:      "whoever imports our API types must not get a client with them",
	},
	{
		packages: []string{"./announcers"},
		allow:    []string{"./api/reason"},
		indirect: true,
		why:      "a third announcer, outside this repository, imports the contract and gets nothing else",
	},
	{
		packages: []string{"./internal/policy"},
		allow:    append([]string{"./api/...", "go4.org/netipx", "k8s.io/apimachinery/...", "k8s.io/api/..."}, pure...),
		why:      "the policy is a function of the objects alone: no client, no log, no metrics",
	},
	{
		packages: []string{"./internal/installation"},
		allow:    append([]string{"./api/...", "k8s.io/apimachinery/...", "k8s.io/api/..."}, pure...),
		why:      "the check of a MetalLB resource is a function of its spec: the webhook and the operator share it",
	},
	{
		packages: []string{"./internal/policy"},
		forbid:   clusterClients,
		indirect: true,
		why:      "the policy is a function of the objects alone; webhooks and the command line use it without a cluster",
	},
	{
		packages: append([]string{"./internal/hostnet", "./internal/membership"}, modules...),
		forbid:   append([]string{"./api/v1beta1", "./api/v1beta2"}, clusterClients...),
		indirect: true,
		why:      "announcing goes on while the API server is away, so nothing here may need it",
	},
	{
		packages: []string{"./..."},
		except:   []string{"./internal/kube", "./controllers/...", "./endpointcopier/...", "./cmd/...", "./test/...", "./hack/..."},
		forbid:   clusterClients,
		why:      "only reconcilers and the wiring talk to the API server",
	},
	{
		packages: []string{"./..."},
		except:   append([]string{"./cmd/...", "./test/..."}, modules...),
		forbid:   modules,
		why:      "announcers are named in the registry of the speaker's command and nowhere else, so that a third one needs one line",
	},
	{
		packages: []string{"./controllers/...", "./endpointcopier/..."},
		forbid:   []string{"./cmd/..."},
		why:      "the command line wires; nobody depends on how",
	},
	{
		packages: []string{"./..."},
		except:   []string{"./announcers/bgp/gobgp/...", "./test/..."},
		forbid:   []string{"github.com/osrg/gobgp/..."},
		why:      "GoBGP is behind one adapter, because it is to be contained and can be replaced",
	},
	{
		packages: []string{"./..."},
		except:   []string{"./internal/membership"},
		forbid:   []string{"github.com/hashicorp/memberlist/..."},
		why:      "the membership is a port; users of it are tested with its fake",
	},
	{
		packages: []string{"./internal/hostnet"},
		allow:    []string{"github.com/vishvananda/netlink/...", "github.com/vishvananda/netns", "golang.org/x/sys/..."},
		indirect: true,
		why:      "below the announcer modules there is only the kernel: what they announce, and how, stays with them",
	},
	{
		packages: []string{"./..."},
		except:   append([]string{"./internal/hostnet", "./test/..."}, modules...),
		forbid:   []string{"./internal/hostnet", "github.com/mdlayher/...", "github.com/vishvananda/..."},
		why:      "frames and links are the business of the announcer modules",
	},
	{
		packages: []string{"./..."},
		except:   []string{"./cmd/...", "./test/...", "./hack/..."},
		forbid:   []string{"github.com/spf13/..."},
		why:      "flags end in cmd; everything else gets options as values",
	},
	{
		packages: []string{"."},
		forbid:   []string{"k8s.io/apiserver/...", "github.com/google/cel-go/...", "go.opentelemetry.io/..."},
		indirect: true,
		why:      "a library for servers of the Kubernetes API adds 8.7 MB to the binary; cmd/process/metricsauth does what the roles need of it",
	},
	{
		packages: []string{"."},
		allow:    []string{"./cmd"},
		why:      "main calls cmd and nothing else",
	},
}
