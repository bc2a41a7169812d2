// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
)

func stray(kind schema.GroupVersionKind, namespace, name, uid string) *metav1.PartialObjectMetadata {
	o := metadataOf(kind)
	o.Namespace, o.Name, o.UID = namespace, name, types.UID(uid)
	return o
}

func TestStrays(t *testing.T) {
	pools := strayKinds()[3]
	for name, row := range map[string]struct {
		hear   func(*Strays)
		want   string
		events int
	}{
		"nothing": {hear: func(*Strays) {}},
		"one":     {func(s *Strays) { s.add(pools, stray(pools, "shop", "blue", "1")) }, "IPAddressPool shop/blue", 1},
		"one that is heard of again": {func(s *Strays) {
			s.add(pools, stray(pools, "shop", "blue", "1"))
			s.add(pools, stray(pools, "shop", "blue", "1"))
		}, "IPAddressPool shop/blue", 1},
		"one of our own namespace": {func(s *Strays) { s.add(pools, stray(pools, "home", "blue", "1")) }, "", 0},
		"four": {func(s *Strays) {
			for i := range 4 {
				s.add(pools, stray(pools, "shop", fmt.Sprint("p", 4-i), fmt.Sprint(i)))
			}
		}, "IPAddressPool shop/p1, IPAddressPool shop/p2, IPAddressPool shop/p3, and 1 more", 4},
		"one that goes": {func(s *Strays) {
			s.add(pools, stray(pools, "shop", "blue", "1"))
			s.remove(stray(pools, "shop", "blue", "1"))
		}, "", 1},
		"one that went unseen": {func(s *Strays) {
			s.add(pools, stray(pools, "shop", "blue", "1"))
			s.remove(toolscache.DeletedFinalStateUnknown{Obj: stray(pools, "shop", "blue", "1")})
		}, "", 1},
		"one that was made anew unseen": {func(s *Strays) {
			old, by := stray(pools, "shop", "blue", "1"), stray(pools, "shop", "blue", "2")
			s.add(pools, old)
			s.replace(old, by)
			s.add(pools, by)
			s.remove(by)
		}, "", 2},
	} {
		t.Run(name, func(t *testing.T) {
			recorder := events.NewFakeRecorder(10)
			s := NewStrays(nil, recorder, "home", logr.Discard())
			if p, unknown := s.problem(); p != nil || !unknown {
				t.Errorf("before anything was looked for: %v, unknown %t", p, unknown)
			}
			row.hear(s)
			s.settle()
			p, unknown := s.problem()
			if unknown || (p == nil) != (row.want == "") || p != nil && !strings.HasSuffix(p.Detail, ": "+row.want) {
				t.Errorf("got %v, unknown %t", p, unknown)
			}
			if len(recorder.Events) != row.events {
				t.Errorf("%d events", len(recorder.Events))
			}
			if len(s.changes) != 1 {
				t.Errorf("%d changes wait to be looked at", len(s.changes))
			}
		})
	}
}

func TestTheCacheKeepsNoMoreThanIdentities(t *testing.T) {
	o := stray(strayKinds()[0], "shop", "blue", "1")
	o.Annotations, o.Labels = map[string]string{"a": "b"}, map[string]string{"c": "d"}
	kept, err := identityOnly(o)
	if k, ok := kept.(*metav1.PartialObjectMetadata); err != nil || !ok || k.Name != "blue" || k.UID != "1" || k.Kind != "BFDProfile" || k.Annotations != nil || k.Labels != nil {
		t.Errorf("%+v, %v", kept, err)
	}
	if other, err := identityOnly("something else"); err != nil || other != "something else" {
		t.Errorf("%v, %v", other, err)
	}
}
