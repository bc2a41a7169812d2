// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"net/netip"
	"reflect"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// catalog is what is known of the Services and their endpoints. Informers fill it as objects change, so that a pass that follows something
// else, a session or a speaker, does not look at all of them again.
//
// Its methods may be called from any goroutine.
type catalog struct {
	mu sync.Mutex
	// services are those of all types.
	services map[types.NamespacedName]*keptService
	// slices are by the Service that their endpoints are of.
	slices map[types.NamespacedName][]*keptSlice
	// list and inside are what all and clusterIPs return; each is made anew when it is nil.
	list   []Service
	inside []netip.Addr
}

func newCatalog() *catalog {
	return &catalog{services: map[types.NamespacedName]*keptService{}, slices: map[types.NamespacedName][]*keptSlice{}}
}

// changeService puts a record in the place of another one; either may be nil. It says whether a decision may depend on it. Cluster IPs of
// Services without an address of ours do not count: an announcer tells when an interface gets the first of them or loses the last.
func (c *catalog) changeService(old, new *keptService) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old != nil {
		delete(c.services, old.key)
	}
	if new != nil {
		c.services[new.key] = new
	}
	before, insideBefore := old.effect()
	after, insideAfter := new.effect()
	moved := !slices.Equal(insideBefore, insideAfter)
	if moved {
		c.inside = nil
	}
	if reflect.DeepEqual(before, after) && (after == nil || !moved) {
		return false
	}
	c.list = nil
	return true
}

// effect is what decisions see of a Service: what they look at, nil when there is nothing to decide, and its cluster IPs.
func (k *keptService) effect() (*Service, []netip.Addr) {
	if k == nil {
		return nil, nil
	}
	return k.service, k.clusterIPs
}

// decided returns the record of a Service that a decision looks at; nil for others.
func (c *catalog) decided(key types.NamespacedName) *keptService {
	if r := c.services[key]; r != nil && r.service != nil {
		return r
	}
	return nil
}

// changeSlice is changeService for EndpointSlices.
func (c *catalog) changeSlice(old, new *keptSlice) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old != nil {
		rest := slices.DeleteFunc(c.slices[old.service], func(r *keptSlice) bool { return r.key == old.key })
		if len(rest) == 0 {
			delete(c.slices, old.service)
		} else {
			c.slices[old.service] = rest
		}
	}
	if new.effect().nodes != nil {
		c.slices[new.service] = append(c.slices[new.service], new)
	}
	before, after := old.effect(), new.effect()
	if before.service == after.service && slices.Equal(before.nodes, after.nodes) || c.decided(before.service) == nil && c.decided(after.service) == nil {
		return false
	}
	c.list = nil
	return true
}

// effect is what decisions see of a slice: nothing without a node that serves some Service.
func (k *keptSlice) effect() keptSlice {
	if k == nil || k.service.Name == "" || len(k.nodes) == 0 {
		return keptSlice{}
	}
	return keptSlice{service: k.service, nodes: k.nodes}
}

// all returns the Services that a decision looks at, with the nodes that serve them. Nobody changes it.
func (c *catalog) all() []Service {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.list != nil {
		return c.list
	}
	sets := nodeSets{}
	c.list = []Service{}
	for key, r := range c.services {
		if r.service == nil {
			continue
		}
		service := *r.service
		service.ServingNodes = sets.of(c.slices[key])
		c.list = append(c.list, service)
	}
	return c.list
}

// clusterIPs returns those of all Services, sorted and distinct. Nobody changes it.
func (c *catalog) clusterIPs() []netip.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inside != nil {
		return c.inside
	}
	c.inside = make([]netip.Addr, 0, len(c.services))
	for _, r := range c.services {
		c.inside = append(c.inside, r.clusterIPs...)
	}
	slices.SortFunc(c.inside, netip.Addr.Compare)
	c.inside = slices.Compact(c.inside)
	return c.inside
}

// uid returns the identity of a Service that a decision looks at, empty for others.
func (c *catalog) uid(key types.NamespacedName) types.UID {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.decided(key); r != nil {
		return r.uid
	}
	return ""
}

// nodeSets are sets of nodes, each once: many Services are served by the same nodes.
type nodeSets struct {
	sets map[string]map[string]bool
	key  []byte
}

// of returns the nodes of all slices; nil when there is none.
func (s *nodeSets) of(records []*keptSlice) map[string]bool {
	if len(records) == 0 {
		return nil
	}
	s.key = s.key[:0]
	for _, r := range records {
		for _, node := range r.nodes {
			s.key = append(append(s.key, node...), '/')
		}
	}
	set := s.sets[string(s.key)]
	if set != nil {
		return set
	}
	set = map[string]bool{}
	for _, r := range records {
		for _, node := range r.nodes {
			set[node] = true
		}
	}
	if s.sets == nil {
		s.sets = map[string]map[string]bool{}
	}
	s.sets[string(s.key)] = set
	return set
}
