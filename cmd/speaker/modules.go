// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/bgp"
	"metalsuite.io/announcers/bgp/bfd"
	"metalsuite.io/announcers/bgp/gobgp"
	"metalsuite.io/announcers/l2"
	"metalsuite.io/cmd/bgpchild"
)

// environment is what a module may be made from.
type environment struct {
	// node is the name of this node, address its own address.
	node       string
	address    netip.Addr
	log        logr.Logger
	registerer prometheus.Registerer
	// runtimeFolder is where sockets may be made.
	runtimeFolder     string
	excludeInterfaces []string
	// refreshInterval is how often claims are repeated unasked; 0 means never.
	refreshInterval time.Duration
}

// modules is the registry of announcers: another one adds its line here and edits nothing else.
var modules = map[string]func(environment) (announcers.Announcer, error){
	l2.Name: func(e environment) (announcers.Announcer, error) {
		return l2.New(l2.Options{
			Log: e.log, Registerer: e.registerer, ExcludeInterfaces: e.excludeInterfaces, RefreshInterval: e.refreshInterval,
		})
	},
	bgp.Name: func(e environment) (announcers.Announcer, error) {
		return bgp.New(bgp.Options{
			Node: e.node, Address: e.address, Log: e.log, Registerer: e.registerer, Network: bgp.HostNetwork(e.log),
			Engine:   gobgp.New(gobgp.Options{Log: e.log, Args: []string{bgpchild.Name}, Folder: e.runtimeFolder}),
			Detector: bfd.New(bfd.Options{Log: e.log}),
		})
	},
}

// Names returns the names of all announcers, sorted.
func Names() []string { return slices.Sorted(maps.Keys(modules)) }

// build makes the announcers that were asked for. One that this build does not have takes its place and says so.
func build(names []string, e environment) ([]announcers.Announcer, error) {
	var out []announcers.Announcer
	for _, name := range names {
		own := e
		own.log = e.log.WithName(name)
		create, known := modules[name]
		if !known {
			own.log.Info("Unknown announcer is left out", "announcer", name)
			out = append(out, unknown(name))
			continue
		}
		a, err := create(own)
		if err != nil {
			return nil, fmt.Errorf("making announcer %s: %w", name, err)
		}
		out = append(out, a)
	}
	return out, nil
}
