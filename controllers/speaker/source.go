// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
	"metalsuite.io/internal/kube"
	"metalsuite.io/internal/policy"
)

// Source keeps the objects of the cluster in memory and turns them into the world of a decision.
//
// World is called by one goroutine; the informers' handlers run on theirs.
type Source struct {
	cache     cache.Cache
	namespace string
	trigger   kube.Trigger
	catalog   *catalog
	synced    atomic.Bool
	stale     atomic.Bool
	policy    *policy.Policy
	// withdrawn are the addresses that this node had left to a stranger when it was started.
	withdrawn []netip.Addr
	// placement is where speakers are wanted.
	placement atomic.Pointer[Placement]
	// read says of each kind that is watched whether it was read once.
	read map[string]toolscache.InformerSynced
}

// CacheOptions narrows a cache to what the speaker of a node reads: the suite's own kinds in its namespace, of what every node writes only
// its own, the rest everywhere, nothing copied. Services are those of the class; they and EndpointSlices are read through a Source and
// ServiceBGPStatus objects by a Status, never from the cache itself, which does not have them whole.
func CacheOptions(namespace, node, class string) cache.Options {
	here := cache.ByObject{Namespaces: map[string]cache.Config{namespace: {}}}
	own := here
	own.Label = labels.SelectorFromSet(labels.Set{v1beta1.LabelNode: nodeLabel(node)})
	shared, thin := true, cache.ByObject{Transform: slim(class)}
	ownSlim := own
	ownSlim.Transform = thin.Transform
	return cache.Options{
		DefaultTransform:             cache.TransformStripManagedFields(),
		DefaultUnsafeDisableDeepCopy: &shared,
		ByObject: map[client.Object]cache.ByObject{
			&v1beta1.IPAddressPool{}:      here,
			&v1beta1.L2Advertisement{}:    here,
			&v1beta1.BGPAdvertisement{}:   here,
			&v1beta2.BGPPeer{}:            here,
			&v1beta1.BFDProfile{}:         here,
			&v1beta1.Community{}:          here,
			&v1beta1.ServiceL2Status{}:    here,
			&v1beta1.ConfigurationState{}: here,
			&v1beta1.AddressConflict{}:    own,
			&v1beta1.ServiceBGPStatus{}:   ownSlim,
			&v1beta1.BGPSessionStatus{}:   own,
			&corev1.Service{}:             thin,
			&corev1.Node{}:                thin,
			&discoveryv1.EndpointSlice{}:  thin,
		},
	}
}

// NewSource returns a source over a cache made with CacheOptions. Trigger fires on every change that a decision may depend on.
func NewSource(c cache.Cache, namespace string, trigger kube.Trigger) *Source {
	s := &Source{cache: c, namespace: namespace, trigger: trigger, catalog: newCatalog(), read: map[string]toolscache.InformerSynced{}}
	s.stale.Store(true)
	return s
}

// Start registers for changes and returns once everything was read for the first time. It fails when the API server cannot say which
// kinds it serves; the caller tries again.
func (s *Source) Start(ctx context.Context) error {
	policyKinds := []client.Object{&v1beta1.IPAddressPool{}, &v1beta1.L2Advertisement{}, &v1beta1.BGPAdvertisement{}, &v1beta2.BGPPeer{}, &v1beta1.BFDProfile{}, &v1beta1.Community{}}
	for _, kind := range policyKinds {
		if err := s.watch(ctx, kind, specChanged, nil); err != nil {
			return err
		}
	}
	if err := s.watch(ctx, &corev1.Namespace{}, labelsChanged, nil); err != nil {
		return err
	}
	if err := s.watch(ctx, &corev1.Node{}, labelsChanged, nodeChanged); err != nil {
		return err
	}
	if err := keep(ctx, s, &corev1.Service{}, s.catalog.changeService); err != nil {
		return err
	}
	if err := keep(ctx, s, &discoveryv1.EndpointSlice{}, s.catalog.changeSlice); err != nil {
		return err
	}
	if !toolscache.WaitForCacheSync(ctx.Done(), slices.Collect(maps.Values(s.read))...) {
		return fmt.Errorf("reading the cluster: %w", ctx.Err())
	}
	s.withdrawn = readWithdrawn(ctx, s.cache, s.namespace)
	s.synced.Store(true)
	s.trigger.Fire()
	return nil
}

// conflictPatience is how long a speaker that starts waits for its own conflicts.
const conflictPatience = 2 * time.Second

// readWithdrawn returns the addresses that this node has left to a stranger, as its AddressConflicts say. Nothing else of the kind is used,
// so a cluster that cannot serve it costs no more than a moment.
func readWithdrawn(ctx context.Context, objects client.Reader, namespace string) []netip.Addr {
	ctx, cancel := context.WithTimeout(ctx, conflictPatience)
	defer cancel()
	var list v1beta1.AddressConflictList
	if err := objects.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		return nil // what is announced unasked then was announced by earlier versions as well
	}
	return withdrawn(list.Items)
}

// change says whether a change of an object matters; old is nil on creation, new on deletion.
type change func(old, new client.Object) bool

// watch marks the policy stale when a change of a kind affects it, and fires the trigger then and when a decision may depend on the change
// otherwise; nil is for kinds of which none does. Most changes of objects are of no interest: a node says every few seconds that it lives, and
// conditions are written whenever a session changes.
func (s *Source) watch(ctx context.Context, kind client.Object, affects, matters change) error {
	return s.handle(ctx, kind, func(o, n any) {
		old, new := object(o), object(n)
		if old != nil && new != nil && old.GetResourceVersion() == new.GetResourceVersion() {
			return
		}
		affected := affects != nil && affects(old, new)
		if affected {
			s.stale.Store(true)
		}
		if affected || matters != nil && matters(old, new) {
			s.trigger.Fire()
		}
	})
}

// keep lets change take in the records of a kind, and fires the trigger when it says that a decision may depend on the change.
func keep[R any](ctx context.Context, s *Source, kind client.Object, change func(old, new *R) bool) error {
	return s.handle(ctx, kind, func(o, n any) {
		old, _ := unwrapped(o).(*R)
		new, _ := unwrapped(n).(*R)
		if change(old, new) {
			s.trigger.Fire()
		}
	})
}

// handle follows a kind, unless an earlier attempt does.
func (s *Source) handle(ctx context.Context, kind client.Object, changed func(old, new any)) error {
	name := fmt.Sprintf("%T", kind)
	if s.read[name] != nil {
		return nil
	}
	read, err := follow(ctx, s.cache, kind, changed)
	if err == nil {
		s.read[name] = read
	}
	return err
}

// object is what an informer hands over, as an object of the API.
func object(o any) client.Object {
	obj, _ := unwrapped(o).(client.Object)
	return obj
}

// unwrapped is what an informer hands over; a deletion that was missed comes in an envelope.
func unwrapped(o any) any {
	if d, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
		return d.Obj
	}
	return o
}

// specChanged leaves out changes of the status alone.
func specChanged(old, new client.Object) bool {
	return labelsChanged(old, new) || !kube.SameSpec(old, new)
}

func labelsChanged(old, new client.Object) bool {
	return old == nil || new == nil || !maps.Equal(old.GetLabels(), new.GetLabels())
}

// nodeChanged says whether a node comes, goes, or is not what it was for a decision.
func nodeChanged(old, new client.Object) bool {
	before, known := old.(*corev1.Node)
	now, exists := new.(*corev1.Node)
	return !known || !exists || !observeNode(before).equal(observeNode(now))
}

// World returns the objects' part of the world, and false until everything was read once.
func (s *Source) World(ctx context.Context) (World, bool, error) {
	if !s.synced.Load() {
		return World{}, false, nil
	}
	if err := s.compile(ctx); err != nil {
		return World{}, false, err
	}
	var nodes corev1.NodeList
	if err := s.cache.List(ctx, &nodes); err != nil {
		return World{}, false, fmt.Errorf("listing nodes: %w", err)
	}
	w := World{Placement: s.placement.Load(), Policy: s.policy, Services: s.catalog.all(), ClusterIPs: s.catalog.clusterIPs(), Withdrawn: s.withdrawn, Nodes: make(map[string]Node, len(nodes.Items))}
	for i := range nodes.Items {
		w.Nodes[nodes.Items[i].Name] = observeNode(&nodes.Items[i])
	}
	return w, true, nil
}

// SetPlacement takes in where speakers are wanted.
func (s *Source) SetPlacement(p *Placement) {
	s.placement.Store(p)
	s.trigger.Fire()
}

// UID returns the identity of a Service that is part of the world, for those who tell something about it.
func (s *Source) UID(service types.NamespacedName) types.UID { return s.catalog.uid(service) }

// compile makes a new policy if an object it depends on has changed. Everything is read after the mark was taken away, so that a change
// in between sets it again.
func (s *Source) compile(ctx context.Context) error {
	if !s.stale.Swap(false) {
		return nil
	}
	objects, err := s.objects(ctx)
	if err != nil {
		s.stale.Store(true)
		return err
	}
	s.policy = policy.Compile(objects)
	return nil
}

func (s *Source) objects(ctx context.Context) (policy.Objects, error) {
	var (
		pools       v1beta1.IPAddressPoolList
		l2          v1beta1.L2AdvertisementList
		bgp         v1beta1.BGPAdvertisementList
		peers       v1beta2.BGPPeerList
		profiles    v1beta1.BFDProfileList
		communities v1beta1.CommunityList
		namespaces  corev1.NamespaceList
		nodes       corev1.NodeList
	)
	for _, list := range []client.ObjectList{&pools, &l2, &bgp, &peers, &profiles, &communities, &namespaces, &nodes} {
		if err := s.cache.List(ctx, list); err != nil {
			return policy.Objects{}, fmt.Errorf("listing %T: %w", list, err)
		}
	}
	o := policy.Objects{
		Pools: pools.Items, L2Advertisements: l2.Items, BGPAdvertisements: bgp.Items, BGPPeers: peers.Items,
		BFDProfiles: profiles.Items, Communities: communities.Items,
		Namespaces: map[string]map[string]string{}, Nodes: map[string]map[string]string{},
	}
	for _, n := range namespaces.Items {
		o.Namespaces[n.Name] = n.Labels
	}
	for _, n := range nodes.Items {
		o.Nodes[n.Name] = n.Labels
	}
	return o, nil
}
