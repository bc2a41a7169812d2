// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"context"
	"fmt"
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/v1beta1"
)

// digests say what is in a ServiceBGPStatus, as far as a speaker writes it: in its metadata and in its status. They mean nothing to another
// process.
type digests struct{ metadata, status uint64 }

var digestSeed = maphash.MakeSeed()

func digestsOf(o *v1beta1.ServiceBGPStatus) digests {
	var d digests
	var hash maphash.Hash
	hash.SetSeed(digestSeed)
	add := func(texts ...string) {
		for _, text := range texts {
			maphash.WriteComparable(&hash, text)
		}
	}
	add(o.Labels[v1beta1.LabelNode], o.Labels[v1beta1.LabelServiceNamespace], o.Labels[v1beta1.LabelServiceName])
	for _, owner := range o.OwnerReferences {
		add(owner.APIVersion, owner.Kind, owner.Name, string(owner.UID))
	}
	d.metadata = hash.Sum64()
	hash.Reset()
	add(o.Status.Node, o.Status.ServiceNamespace, o.Status.ServiceName)
	add(o.Status.Peers...)
	d.status = hash.Sum64()
	return d
}

// keptStatus is what the cache keeps of a ServiceBGPStatus.
type keptStatus struct {
	kept
	// service is the key of the Service that it speaks of.
	service string
	digests
}

// serviceOfRouters is the key of the Service that a ServiceBGPStatus speaks of. Its labels are all that says so until its status is written;
// that never changes (the API refuses it).
func serviceOfRouters(o *v1beta1.ServiceBGPStatus) string {
	if o.Status.ServiceName == "" {
		return serviceOf(o)
	}
	return o.Status.ServiceNamespace + "/" + o.Status.ServiceName
}

// routerStatuses are the ServiceBGPStatus objects of this node that are there, by name. An informer fills it.
type routerStatuses struct {
	mu   sync.Mutex
	seen map[string]*keptStatus
	// known is whether those are in it that were there when the speaker started; nothing is written before.
	known atomic.Bool
}

// services are the keys of the Services that they speak of.
func (r *routerStatuses) services() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	keys := make([]string, 0, len(r.seen))
	for _, status := range r.seen {
		keys = append(keys, status.service)
	}
	return keys
}

func (r *routerStatuses) put(s *keptStatus) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == nil {
		r.seen = map[string]*keptStatus{}
	}
	r.seen[s.key.Name] = s
}

func (r *routerStatuses) remove(s *keptStatus) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.seen, s.key.Name)
}

// get returns nil for one that is not there.
func (r *routerStatuses) get(name string) *keptStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen[name]
}

// followRouterStatuses follows the ServiceBGPStatus objects, and looks at all Services once those that were there at first are known.
func (s *Status) followRouterStatuses(ctx context.Context, c cache.Cache) error {
	read, err := follow(ctx, c, &v1beta1.ServiceBGPStatus{}, s.routerStatusChanged)
	if err != nil || !toolscache.WaitForCacheSync(ctx.Done(), read) {
		return err
	}
	s.routers.known.Store(true)
	for key := range s.newest.get().Plan.Verdicts {
		s.services.Enqueue(key)
	}
	for _, key := range s.routers.services() {
		s.services.Enqueue(key)
	}
	return nil
}

// routerStatusChanged takes in that a ServiceBGPStatus was made, written or removed, and asks for a write if it is not what is to be there.
func (s *Status) routerStatusChanged(old, new any) {
	before, _ := unwrapped(old).(*keptStatus)
	after, _ := unwrapped(new).(*keptStatus)
	var service string
	switch {
	case after != nil:
		s.routers.put(after)
		service = after.service
	case before != nil:
		s.routers.remove(before)
		service = before.service
	default:
		return
	}
	outcome := s.newest.get()
	if want := s.routerStatus(service, outcome.Plan.Verdicts[service]); outcome.World.Policy == nil || !after.says(want, before == nil) {
		s.services.EnqueueAfter(service, repairAfter)
	}
}

// says is whether an object is what it is to be; either may be nil, for none. One that was just made says nothing of routers yet if it is ours:
// who has made it writes its status next.
func (k *keptStatus) says(want *v1beta1.ServiceBGPStatus, made bool) bool {
	if k == nil || want == nil {
		return k == nil && want == nil
	}
	right := digestsOf(want)
	if made && len(want.OwnerReferences) > 0 && k.status == digestsOf(&v1beta1.ServiceBGPStatus{}).status {
		return k.metadata == right.metadata
	}
	return k.digests == right
}

// routerStatus is what is to be there for a Service; nil when no router is told of it.
func (s *Status) routerStatus(key string, v Verdict) *v1beta1.ServiceBGPStatus {
	if len(v.Peers) == 0 {
		return nil
	}
	namespace, service, _ := strings.Cut(key, "/")
	return &v1beta1.ServiceBGPStatus{
		ObjectMeta: s.objectMeta(s.routerStatusName(key), serviceLabels(key)),
		Status:     v1beta1.ServiceBGPStatusStatus{Node: s.node, ServiceNamespace: namespace, ServiceName: service, Peers: v.Peers},
	}
}

func (s *Status) routerStatusName(key string) string { return s.objectName("bgp-", key, longHash) }

// writeRouters leaves one ServiceBGPStatus of this node when it tells routers of the Service, and none when it does not. While a password is
// being read it leaves what an earlier pod of the node wrote.
func (s *Status) writeRouters(ctx context.Context, key string, o serviceOutcome) error {
	if !s.routers.known.Load() {
		return nil
	}
	if o.Pending {
		s.services.EnqueueAfter(key, repairAfter)
		return nil
	}
	name := s.routerStatusName(key)
	have, want := s.routers.get(name), s.routerStatus(key, o.Verdict)
	switch {
	case want == nil && have == nil:
		return nil
	case want == nil:
		object := &v1beta1.ServiceBGPStatus{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: name}}
		if err := client.IgnoreNotFound(s.client.Delete(ctx, object)); err != nil {
			return fmt.Errorf("removing %s: %w", name, err)
		}
		return nil
	case have == nil:
		return bgpStatuses.create(ctx, s.client, want)
	}
	return have.rewrite(ctx, s.client, want)
}

// rewrite makes an object what it is to be, as far as it is not.
func (k *keptStatus) rewrite(ctx context.Context, c client.Client, want *v1beta1.ServiceBGPStatus) error {
	next := digestsOf(want)
	object := &v1beta1.ServiceBGPStatus{ObjectMeta: metav1.ObjectMeta{Namespace: want.Namespace, Name: want.Name}}
	if k.metadata != next.metadata {
		if err := bgpStatuses.patchMetadata(ctx, c, object, want); err != nil {
			return err
		}
	}
	if k.status != next.status {
		return bgpStatuses.patchStatus(ctx, c, object, want)
	}
	return nil
}
