// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
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

// incomplete is a cache of a cluster that has a kind only when it is asked for the second time.
type incomplete struct {
	cache.Informers
	asked map[string]int
}

func (i *incomplete) GetInformer(_ context.Context, o client.Object, _ ...cache.InformerGetOption) (cache.Informer, error) {
	kind := o.GetObjectKind().GroupVersionKind()
	i.asked[kind.Kind]++
	if kind.Kind == "IPReservation" && i.asked[kind.Kind] == 1 {
		return nil, &meta.NoKindMatchError{GroupKind: kind.GroupKind()}
	}
	return empty{}, nil
}

// empty is an informer that finds nothing.
type empty struct{ cache.Informer }

func (empty) AddEventHandler(toolscache.ResourceEventHandler) (toolscache.ResourceEventHandlerRegistration, error) {
	return synced{}, nil
}

type synced struct {
	toolscache.ResourceEventHandlerRegistration
}

func (synced) HasSynced() bool { return true }

func TestAKindThatComesLateIsLookedForAgain(t *testing.T) {
	informers := &incomplete{asked: map[string]int{}}
	s := NewStrays(informers, events.NewFakeRecorder(1), "home", logr.Discard())
	s.retry = time.Millisecond
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Start(ctx) }()
	<-s.changes
	if _, unknown := s.problem(); unknown {
		t.Error("all kinds were looked for")
	}
	end()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, kind := range strayKinds() {
		if want := map[bool]int{true: 2, false: 1}[kind.Kind == "IPReservation"]; informers.asked[kind.Kind] != want {
			t.Errorf("%s asked for %d times, want %d", kind.Kind, informers.asked[kind.Kind], want)
		}
	}
}
