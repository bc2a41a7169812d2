// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	ctrlevent "sigs.k8s.io/controller-runtime/pkg/event"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
	"metalsuite.io/internal/kube"
	"metalsuite.io/internal/policy"
)

// straysNamed is how many objects the condition names.
const straysNamed = 3

// strayKinds are what configures the suite, from its own namespace only.
func strayKinds() []schema.GroupVersionKind {
	var kinds []schema.GroupVersionKind
	for _, name := range []string{
		policy.KindBFDProfile, policy.KindBGPAdvertisement, policy.KindCommunity, policy.KindIPAddressPool, policy.KindIPReservation, policy.KindL2Advertisement,
	} {
		kinds = append(kinds, v1beta1.GroupVersion.WithKind(name))
	}
	return append(kinds, v1beta2.GroupVersion.WithKind(policy.KindBGPPeer))
}

func metadataOf(kind schema.GroupVersionKind) *metav1.PartialObjectMetadata {
	o := &metav1.PartialObjectMetadata{}
	o.SetGroupVersionKind(kind)
	return o
}

// identityOnly is a transform of the cache that keeps of an object's metadata what tells it from others.
func identityOnly(in any) (any, error) {
	o, ok := in.(*metav1.PartialObjectMetadata)
	if !ok {
		return in, nil
	}
	meta := metav1.ObjectMeta{Namespace: o.Namespace, Name: o.Name, UID: o.UID, ResourceVersion: o.ResourceVersion}
	return &metav1.PartialObjectMetadata{TypeMeta: o.TypeMeta, ObjectMeta: meta}, nil
}

// Strays are the objects that would configure the suite if they were in its namespace. Webhooks refuse them; what came while no webhook
// was served nobody else looks at. Each is told once by an event, and all of them in the status of the MetalLB resource.
//
// It looks without a deadline, so that a kind which the cluster does not have or may not be read costs nothing but that. It is safe for
// concurrent use.
type Strays struct {
	informers cache.Informers
	events    EventRecorder
	namespace string
	log       logr.Logger
	changes   chan ctrlevent.GenericEvent
	// retry is how often kinds are tried again that cannot be watched, because the cluster does not have them yet.
	retry time.Duration

	mu sync.Mutex
	// found are texts such as "IPAddressPool shop/blue". Settled is set once all kinds have been looked for.
	found   map[types.UID]string
	settled bool
}

// NewStrays returns what is to be given to a Reconciler and looks for objects outside the namespace. The cache must be that of
// CacheOptions.
func NewStrays(informers cache.Informers, events EventRecorder, namespace string, log logr.Logger) *Strays {
	return &Strays{
		informers: informers, events: events, namespace: namespace, log: log, retry: 30 * time.Second,
		changes: make(chan ctrlevent.GenericEvent, 1), found: map[types.UID]string{},
	}
}

// Start watches until the context ends.
func (s *Strays) Start(ctx context.Context) error {
	var synced []toolscache.InformerSynced
	for kinds := strayKinds(); len(kinds) > 0 && ctx.Err() == nil; {
		kinds = slices.DeleteFunc(kinds, func(kind schema.GroupVersionKind) bool {
			registration, err := s.watch(ctx, kind)
			if err != nil {
				s.log.Info("Watching objects in other namespaces failed, will retry", "name", kind.Kind, "error", err.Error())
				return false
			}
			synced = append(synced, registration.HasSynced)
			return true
		})
		if len(kinds) > 0 {
			pause(ctx, s.retry)
		}
	}
	if toolscache.WaitForCacheSync(ctx.Done(), synced...) {
		s.settle()
	}
	<-ctx.Done()
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func (s *Strays) watch(ctx context.Context, kind schema.GroupVersionKind) (toolscache.ResourceEventHandlerRegistration, error) {
	informer, err := s.informers.GetInformer(ctx, metadataOf(kind), cache.BlockUntilSynced(false))
	if err != nil {
		return nil, fmt.Errorf("watching %s: %w", kind.Kind, err)
	}
	return informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { s.add(kind, o) },
		DeleteFunc: s.remove,
		UpdateFunc: func(old, o any) { // may be another object of the same name
			s.replace(old, o)
			s.add(kind, o)
		},
	})
}

// add takes note of an object and tells it when it is new.
func (s *Strays) add(kind schema.GroupVersionKind, in any) {
	o, ok := in.(metav1.Object)
	if !ok || o.GetNamespace() == s.namespace {
		return
	}
	s.mu.Lock()
	_, known := s.found[o.GetUID()]
	s.found[o.GetUID()] = kind.Kind + " " + o.GetNamespace() + "/" + o.GetName()
	s.mu.Unlock()
	if known {
		return
	}
	s.wake()
	stray := metadataOf(kind)
	stray.Namespace, stray.Name, stray.UID = o.GetNamespace(), o.GetName(), o.GetUID()
	p := reason.New(reason.StrayObject, "only objects in namespace %s are used", s.namespace)
	s.events.Eventf(stray, nil, corev1.EventTypeWarning, string(p.Reason), "Validate", "%s", kube.Note(p.Message()))
}

func (s *Strays) replace(old, by any) {
	was, ok := old.(metav1.Object)
	if is, same := by.(metav1.Object); !ok || !same || was.GetUID() != is.GetUID() {
		s.remove(old)
	}
}

func (s *Strays) remove(in any) {
	if unseen, ok := in.(toolscache.DeletedFinalStateUnknown); ok {
		in = unseen.Obj
	}
	o, ok := in.(metav1.Object)
	if !ok {
		return
	}
	s.mu.Lock()
	_, known := s.found[o.GetUID()]
	delete(s.found, o.GetUID())
	s.mu.Unlock()
	if known {
		s.wake()
	}
}

func (s *Strays) settle() {
	s.mu.Lock()
	s.settled = true
	s.mu.Unlock()
	s.wake()
}

// wake has the status looked at. One that is due already tells of this change too.
func (s *Strays) wake() {
	select {
	case s.changes <- ctrlevent.GenericEvent{Object: &v1beta1.MetalLB{}}:
	default:
	}
}

// problem says which objects are in the wrong place; nil when none is known. Unknown is true until all were looked for.
func (s *Strays) problem() (found *reason.Problem, unknown bool) {
	if s == nil {
		return nil, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.found) == 0 {
		return nil, !s.settled
	}
	names := slices.Sorted(maps.Values(s.found))
	text := strings.Join(names[:min(len(names), straysNamed)], ", ")
	if more := len(names) - straysNamed; more > 0 {
		text += fmt.Sprintf(", and %d more", more)
	}
	return reason.New(reason.StrayObject, "outside namespace %s, where nothing uses them: %s", s.namespace, text), !s.settled
}
