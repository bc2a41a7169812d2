// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/announcertest"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
	"metalsuite.io/internal/kube"
	"metalsuite.io/internal/membership"
	"metalsuite.io/internal/policy"
)

// crowd returns a world of many Services, each with an address of its own, that two routers are told of and no owner announces.
func crowd(services int) World {
	w := base()
	w.Ownerless, w.Routed = true, true
	w.Policy = routed([]v1beta1.BGPAdvertisement{{ObjectMeta: metav1.ObjectMeta{Name: "all"}}}, bgpPeer("tor-a", "198.51.100.1"), bgpPeer("tor-b", "198.51.100.2"))
	for i := range services {
		s := service(fmt.Sprintf("web%d", i))
		s.Addresses = []netip.Addr{netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)})}
		s.Pool = "blue"
		w.Services = append(w.Services, s)
	}
	return w
}

// routed is a policy of one large pool.
func routed(ads []v1beta1.BGPAdvertisement, peers ...v1beta2.BGPPeer) *policy.Policy {
	nodes := map[string]map[string]string{}
	for _, n := range []string{"n1", "n2", "n3"} {
		nodes[n] = map[string]string{"kubernetes.io/hostname": n}
	}
	return policy.Compile(policy.Objects{
		Pools: []v1beta1.IPAddressPool{pool("blue", "198.18.0.0/16", "2001:db8:18::/64")}, BGPAdvertisements: ads, BGPPeers: peers, Nodes: nodes,
		Namespaces: map[string]map[string]string{"default": {}},
	})
}

func bgpPeer(name, address string) v1beta2.BGPPeer {
	return v1beta2.BGPPeer{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1beta2.BGPPeerSpec{MyASN: 64512, PeerASN: 64999, PeerAddress: address}}
}

func BenchmarkDecide(b *testing.B) {
	w := crowd(10000)
	b.ReportAllocs()
	for b.Loop() {
		Decide(w)
	}
}

// BenchmarkStep is a whole pass after one Service of many has changed, but for the reading of the objects.
func BenchmarkStep(b *testing.B) {
	w, module := crowd(10000), announcertest.NewFake("bgp", announcers.Shared)
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- module.Run(ctx) }()
	<-module.Changed()
	observer := &observed{}
	status := NewStatus(StatusOptions{Recorder: record.NewFakeRecorder(0), Node: "n1", Metrics: NewMetrics(prometheus.NewRegistry(), "n1"), Clock: clock.RealClock{}, Log: logr.Discard()})
	s := New(Options{
		Node: "n1", Observer: observer, Members: membership.NewFake("n1"), Modules: []announcers.Announcer{module}, Trigger: kube.NewTrigger(),
		Clock: clock.RealClock{}, Log: logr.Discard(), OnOutcome: status.Report,
	})
	b.ReportAllocs()
	for turn := 0; b.Loop(); turn++ {
		w.Services[0].Addresses = []netip.Addr{netip.AddrFrom4([4]byte{198, 18, 255, byte(turn)})}
		w.Services = slices.Clone(w.Services)
		w.Nodes = map[string]Node{"n1": {}}
		observer.set(w)
		s.step(ctx)
	}
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

// BenchmarkCatalog is the reading of the objects by a pass that follows the change of one of 10,000 Services.
func BenchmarkCatalog(b *testing.B) {
	c := newCatalog()
	var last *keptService
	for i := range 10000 {
		key := types.NamespacedName{Namespace: "default", Name: fmt.Sprintf("web%d", i)}
		last = &keptService{kept: kept{key: key}, service: &Service{Key: key.String()}}
		c.changeService(nil, last)
		c.changeSlice(nil, &keptSlice{kept: kept{key: key}, service: key, nodes: []string{"n2"}})
	}
	b.ReportAllocs()
	for turn := 0; b.Loop(); turn++ {
		next := &keptService{kept: last.kept, service: &Service{Key: last.service.Key, Pool: fmt.Sprint(turn)}}
		c.changeService(last, next)
		last = next
		c.all()
	}
}
