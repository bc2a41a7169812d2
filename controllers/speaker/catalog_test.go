// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"fmt"
	"net/netip"
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

func TestTheCatalogFollowsWhatChanges(t *testing.T) {
	c := newCatalog()
	web := types.NamespacedName{Namespace: "default", Name: "web"}
	service := func(version string, s *Service) *keptService {
		return &keptService{kept: kept{key: web, version: version}, service: s, uid: "7"}
	}
	slice := func(name, of string, nodes ...string) *keptSlice {
		return &keptSlice{kept: kept{key: types.NamespacedName{Namespace: "default", Name: name}}, service: types.NamespacedName{Namespace: "default", Name: of}, nodes: nodes}
	}
	now := func() string {
		out := ""
		for _, s := range c.all() {
			out += fmt.Sprint(s.Key, s.ServingNodes)
		}
		return out
	}
	first, other := service("1", &Service{Key: "default/web"}), service("2", &Service{Key: "default/web", Pool: "blue"})
	same, none := service("3", &Service{Key: "default/web", Pool: "blue"}), service("4", nil)
	a, b := slice("a", "web", "n1"), slice("b", "web", "", "n3")
	moved, gone := slice("b", "web", "n2"), slice("b", "db", "n2")
	for _, step := range []struct {
		what    string
		change  func() bool
		matters bool
		want    string
	}{
		{"endpoints come first", func() bool { return c.changeSlice(nil, a) }, false, ""},
		{"the Service comes", func() bool { return c.changeService(nil, first) }, true, "default/webmap[n1:true]"},
		{"it changes", func() bool { return c.changeService(first, other) }, true, "default/webmap[n1:true]"},
		{"something of no concern in it changes", func() bool { return c.changeService(other, same) }, false, "default/webmap[n1:true]"},
		{"slices add up", func() bool { return c.changeSlice(nil, b) }, true, "default/webmap[:true n1:true n3:true]"},
		{"endpoints move", func() bool { return c.changeSlice(b, moved) }, true, "default/webmap[n1:true n2:true]"},
		{"nothing moves", func() bool { return c.changeSlice(moved, slice("b", "web", "n2")) }, false, "default/webmap[n1:true n2:true]"},
		{"a slice is another Service's", func() bool { return c.changeSlice(moved, gone) }, true, "default/webmap[n1:true]"},
		{"a slice serves nobody", func() bool { return c.changeSlice(nil, slice("c", "web")) }, false, "default/webmap[n1:true]"},
		{"endpoints of no Service of ours move", func() bool { return c.changeSlice(gone, slice("b", "db", "n3")) }, false, "default/webmap[n1:true]"},
		{"the last slice goes", func() bool { return c.changeSlice(a, nil) }, true, "default/webmap[]"},
		{"the Service is none of ours any more", func() bool { return c.changeService(same, none) }, true, ""},
		{"it goes", func() bool { return c.changeService(none, nil) }, false, ""},
	} {
		if got := step.change(); got != step.matters {
			t.Errorf("%s: matters %v", step.what, got)
		}
		if got := now(); got != step.want {
			t.Errorf("%s: got %q, want %q", step.what, got, step.want)
		}
	}
	if len(c.services) > 0 || len(c.slices) != 1 {
		t.Errorf("left are %v and %v", c.services, c.slices)
	}
}

func TestTheCatalogKnowsTheClusterIPsOfAllServices(t *testing.T) {
	c := newCatalog()
	record := func(name string, s *Service, clusterIPs ...string) *keptService {
		r := &keptService{kept: kept{key: types.NamespacedName{Namespace: "default", Name: name}}, service: s}
		for _, text := range clusterIPs {
			r.clusterIPs = append(r.clusterIPs, netip.MustParseAddr(text))
		}
		return r
	}
	kubernetes, db, web := record("kubernetes", nil, "10.96.0.1"), record("db", nil, "10.96.0.11"), record("web", &Service{}, "10.96.0.10", "fd00::10")
	both, headless := record("db", nil, "10.96.0.11", "fd00::11"), record("headless", nil)
	single, late := record("web", &Service{}, "10.96.0.10"), record("late", nil, "10.96.0.11")
	for _, step := range []struct {
		what     string
		old, new *keptService
		matters  bool
		want     string
	}{
		{"nothing yet", nil, headless, false, "[]"},
		{"a Service of another type", nil, kubernetes, false, "[10.96.0.1]"},
		{"another one", nil, db, false, "[10.96.0.1 10.96.0.11]"},
		{"it becomes dual-stack", db, both, false, "[10.96.0.1 10.96.0.11 fd00::11]"},
		{"a Service that is announced", nil, web, true, "[10.96.0.1 10.96.0.10 10.96.0.11 fd00::10 fd00::11]"},
		{"it becomes single-stack", web, single, true, "[10.96.0.1 10.96.0.10 10.96.0.11 fd00::11]"},
		{"a successor is told before its predecessor goes", nil, late, false, "[10.96.0.1 10.96.0.10 10.96.0.11 fd00::11]"},
		{"the predecessor goes", both, nil, false, "[10.96.0.1 10.96.0.10 10.96.0.11]"},
	} {
		if got := c.changeService(step.old, step.new); got != step.matters {
			t.Errorf("%s: matters %v", step.what, got)
		}
		if got := fmt.Sprint(c.clusterIPs()); got != step.want {
			t.Errorf("%s: got %s, want %s", step.what, got, step.want)
		}
	}
}

func TestOnlyServicesOfTheWorldHaveAnIdentity(t *testing.T) {
	c := newCatalog()
	web, db := types.NamespacedName{Namespace: "default", Name: "web"}, types.NamespacedName{Namespace: "default", Name: "db"}
	c.changeService(nil, &keptService{kept: kept{key: web}, service: &Service{}, uid: "7"})
	c.changeService(nil, &keptService{kept: kept{key: db}, uid: "8"})
	if c.uid(web) != "7" || c.uid(db) != "" {
		t.Errorf("got %q and %q", c.uid(web), c.uid(db))
	}
}

func TestServicesOnTheSameNodesShareTheirSet(t *testing.T) {
	sets := nodeSets{}
	a, b := sets.of([]*keptSlice{{nodes: []string{"n1", "n2"}}}), sets.of([]*keptSlice{{nodes: []string{"n1"}}, {nodes: []string{"n2"}}})
	a["shared"] = true
	if !b["shared"] || sets.of(nil) != nil {
		t.Errorf("got %v and %v", a, b)
	}
}
