// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/announcertest"
	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
	"metalsuite.io/internal/kube"
	"metalsuite.io/internal/membership"
)

const namespace = "metallb-system"

func TestAgainstAnAPIServer(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "speaker against an API server")
}

var _ = Describe("A speaker", Ordered, func() {
	var (
		api     *envtest.Environment
		direct  client.Client
		members *membership.Fake
		module  *announcertest.Fake
		routers *announcertest.Fake
		told    *record.FakeRecorder
		cached  client.Client
		status  *Status
		ctx     context.Context
	)

	BeforeAll(func() {
		scheme := runtime.NewScheme()
		for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1beta1.AddToScheme, v1beta2.AddToScheme} {
			Expect(add(scheme)).To(Succeed())
		}
		api = &envtest.Environment{CRDDirectoryPaths: []string{"../../config/crd/bases"}, ErrorIfCRDPathMissing: true}
		config, err := api.Start()
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(api.Stop)
		direct, err = client.New(config, client.Options{Scheme: scheme})
		Expect(err).NotTo(HaveOccurred())

		options := CacheOptions(namespace, "n1", "")
		options.Scheme = scheme
		objects, err := cache.New(config, options)
		Expect(err).NotTo(HaveOccurred())
		cached, err = client.New(config, client.Options{Scheme: scheme, Cache: &client.CacheOptions{Reader: objects}})
		Expect(err).NotTo(HaveOccurred())

		members = membership.NewFake("n1")
		module, told = announcertest.NewFake("l2", announcers.Exclusive), record.NewFakeRecorder(100)
		routers = announcertest.NewFake("bgp", announcers.Shared)
		trigger := kube.NewTrigger()
		passwords := NewPasswords(PasswordsOptions{Reader: direct, Namespace: namespace, Trigger: trigger, Clock: clock.RealClock{}, Log: logr.Discard()})
		source := NewSource(objects, namespace, trigger)
		status = NewStatus(StatusOptions{
			Client: cached, Recorder: told, UID: source.UID, Node: "n1", Namespace: namespace, PodName: "speaker-x", PodUID: "123",
			Clock: clock.RealClock{}, Log: logr.Discard(),
		})
		loop := New(Options{
			Node: "n1", Observer: source, Members: members, Trigger: trigger, Clock: clock.RealClock{}, Log: logr.Discard(),
			Modules: []announcers.Announcer{module, routers}, OnOutcome: status.Report, Passwords: passwords,
		})
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(context.Background())
		group, running := errgroup.WithContext(ctx)
		for _, run := range []func(context.Context) error{objects.Start, source.Start, loop.Run, passwords.Run, status.Run, func(ctx context.Context) error {
			return status.Watch(ctx, objects)
		}} {
			group.Go(func() error { return run(running) })
		}
		DeferCleanup(func() {
			cancel()
			Expect(group.Wait()).To(Succeed())
		})
		create(ctx, direct, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
		create(ctx, direct, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}})
		create(ctx, direct, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n2"}})
	})

	statuses := func() []v1beta1.ServiceL2StatusStatus {
		var list v1beta1.ServiceL2StatusList
		Expect(direct.List(ctx, &list, client.InNamespace(namespace))).To(Succeed())
		var out []v1beta1.ServiceL2StatusStatus
		for _, i := range list.Items {
			out = append(out, i.Status)
		}
		return out
	}

	It("says which node announces a Service", func() {
		create(ctx, direct, inNamespace(pool("blue", "192.0.2.0/24")))
		ad := advertisement("all", v1beta1.L2AdvertisementSpec{})
		ad.Namespace = namespace
		create(ctx, direct, &ad)
		createService(ctx, direct, "web", "192.0.2.10")
		Eventually(statuses, patience).Should(ConsistOf(v1beta1.ServiceL2StatusStatus{Node: "n1", ServiceName: "web", ServiceNamespace: "default"}))
	})

	It("writes a status object again that somebody deleted", func() {
		var list v1beta1.ServiceL2StatusList
		Expect(direct.List(ctx, &list, client.InNamespace(namespace))).To(Succeed())
		uid := list.Items[0].UID
		Expect(direct.Delete(ctx, &list.Items[0])).To(Succeed())
		Eventually(func(g Gomega) {
			g.Expect(direct.List(ctx, &list, client.InNamespace(namespace))).To(Succeed())
			g.Expect(list.Items).To(HaveLen(1))
			g.Expect(list.Items[0].UID).NotTo(Equal(uid))
			g.Expect(list.Items[0].Status.Node).To(Equal("n1"))
		}, patience).Should(Succeed())
	})

	It("owns its status objects, labelled as users look for them", func() {
		var list v1beta1.ServiceL2StatusList
		Expect(direct.List(ctx, &list, client.InNamespace(namespace))).To(Succeed())
		ours := SatisfyAll(
			HaveField("Name", HavePrefix("l2-")),
			HaveField("Labels", Equal(map[string]string{
				v1beta1.LabelNode: "n1", v1beta1.LabelServiceName: "web", v1beta1.LabelServiceNamespace: "default",
			})),
			HaveField("OwnerReferences", ConsistOf(SatisfyAll(HaveField("Kind", "Pod"), HaveField("Name", "speaker-x"), HaveField("UID", BeEquivalentTo("123"))))),
		)
		Expect(list.Items).To(ConsistOf(ours))

		By("taking over what an earlier pod of the node has made")
		earlier := &list.Items[0]
		earlier.OwnerReferences[0].Name, earlier.OwnerReferences[0].UID = "speaker-w", "122"
		earlier.Labels[v1beta1.LabelNode] = "n0"
		Expect(direct.Update(ctx, earlier)).To(Succeed())
		uid := earlier.UID
		Eventually(func(g Gomega) {
			g.Expect(direct.List(ctx, &list, client.InNamespace(namespace))).To(Succeed())
			g.Expect(list.Items).To(ConsistOf(SatisfyAll(ours, HaveField("UID", uid), HaveField("Status.Node", "n1"))))
		}, patience).Should(Succeed())
	})

	It("leaves one status object of several for a Service that is announced here", func() {
		twin := &v1beta1.ServiceL2Status{ObjectMeta: metav1.ObjectMeta{Name: "l2-twin", Namespace: namespace, Labels: map[string]string{
			v1beta1.LabelNode: "n1", v1beta1.LabelServiceName: "web", v1beta1.LabelServiceNamespace: "default",
		}}}
		create(ctx, direct, twin)
		Eventually(func() error { return direct.Get(ctx, client.ObjectKeyFromObject(twin), twin) }, patience).ShouldNot(Succeed())
		Expect(statuses()).To(HaveLen(1))
	})

	It("leaves what another node says of a Service that is not announced here", func() {
		theirs := &v1beta1.ServiceL2Status{ObjectMeta: metav1.ObjectMeta{Name: "l2-theirs", Namespace: namespace, Labels: map[string]string{
			v1beta1.LabelNode: "n2", v1beta1.LabelServiceName: "elsewhere", v1beta1.LabelServiceNamespace: "default",
		}}}
		own := theirs.DeepCopy()
		own.Name, own.Labels[v1beta1.LabelNode] = "l2-own", "n1"
		create(ctx, direct, theirs)
		create(ctx, direct, own)
		Eventually(func() error { return direct.Get(ctx, client.ObjectKeyFromObject(own), own) }, patience).ShouldNot(Succeed())
		Expect(direct.Get(ctx, client.ObjectKeyFromObject(theirs), theirs)).To(Succeed())
		Expect(direct.Delete(ctx, theirs)).To(Succeed())
	})

	It("removes what another node left behind for a Service that is announced here", func() {
		left := &v1beta1.ServiceL2Status{ObjectMeta: metav1.ObjectMeta{Name: "l2-left", Namespace: namespace, Labels: map[string]string{
			v1beta1.LabelNode: "gone", v1beta1.LabelServiceName: "web", v1beta1.LabelServiceNamespace: "default",
		}}}
		create(ctx, direct, left)
		Eventually(func() error { return direct.Get(ctx, client.ObjectKeyFromObject(left), left) }, patience).ShouldNot(Succeed())
	})

	It("leaves an invalid object out, says so, and goes on with the rest", func() {
		create(ctx, direct, inNamespace(pool("green", "192.0.2.128/25")))
		Eventually(func(g Gomega) {
			var state v1beta1.ConfigurationState
			g.Expect(direct.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "speaker-n1"}, &state)).To(Succeed())
			g.Expect(state.Status.Result).To(Equal(v1beta1.ConfigurationInvalid))
			g.Expect(state.Status.ErrorSummary).To(ContainSubstring("green"))
		}, patience).Should(Succeed())
		Expect(statuses()).To(HaveLen(1))
	})

	conflicts := func() []v1beta1.AddressConflict {
		var list v1beta1.AddressConflictList
		Expect(direct.List(ctx, &list, client.InNamespace(namespace))).To(Succeed())
		return list.Items
	}

	It("tells of a stranger on an address, on an object and to the Service", func() {
		now := time.Now()
		module.SetConflicts(announcers.Conflict{
			Addr: netip.MustParseAddr("192.0.2.10"), Interface: "eth0", HardwareAddress: theirs, Since: now.Add(-time.Minute), Last: now, Withdrawn: true,
		})
		Eventually(conflicts, patience).Should(ConsistOf(SatisfyAll(
			HaveField("Name", HavePrefix("conflict-")),
			HaveField("Labels", HaveKeyWithValue(v1beta1.LabelNode, "n1")),
			HaveField("OwnerReferences", ConsistOf(SatisfyAll(HaveField("Kind", "Pod"), HaveField("Name", "speaker-x")))),
			HaveField("Status", SatisfyAll(
				HaveField("Address", "192.0.2.10"), HaveField("Node", "n1"), HaveField("Reason", "AddressConflict"), HaveField("Withdrawn", true),
				HaveField("HardwareAddress", theirs), HaveField("Interface", "eth0"),
			)),
		)))
		Eventually(told.Events, patience).Should(Receive(SatisfyAll(
			HavePrefix("Warning AddressConflict "), ContainSubstring("192.0.2.10"), ContainSubstring(theirs), ContainSubstring("eth0"), ContainSubstring("n1"),
			ContainSubstring("withdrawn"),
		)))

		By("remembering it for the next pod of the node")
		left := func() []netip.Addr { return readWithdrawn(ctx, cached, namespace) }
		Eventually(left, patience).Should(ConsistOf(netip.MustParseAddr("192.0.2.10")))
	})

	It("writes a conflict again that somebody deleted, and leaves those of other nodes alone", func() {
		other := &v1beta1.AddressConflict{
			ObjectMeta: metav1.ObjectMeta{Name: "conflict-other", Namespace: namespace, Labels: map[string]string{v1beta1.LabelNode: "n2"}},
			Status:     v1beta1.AddressConflictStatus{Address: "192.0.2.99", Node: "n2", Reason: "AddressConflict", FirstSeen: metav1.Unix(1, 0), LastSeen: metav1.Unix(1, 0)},
		}
		create(ctx, direct, other)
		for _, c := range conflicts() {
			if c.Status.Node == "n1" {
				Expect(direct.Delete(ctx, &c)).To(Succeed())
			}
		}
		Eventually(conflicts, patience).Should(ConsistOf(HaveField("Name", "conflict-other"), HaveField("Status.Node", "n1")))
		Expect(direct.Delete(ctx, other)).To(Succeed())
	})

	It("finds a conflict again that somebody took the label of", func() {
		uid := conflicts()[0].UID
		Expect(direct.Patch(ctx, &conflicts()[0], client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":null}}`)))).To(Succeed())
		Eventually(conflicts, patience).Should(ConsistOf(SatisfyAll(HaveField("UID", uid), HaveField("Labels", HaveKeyWithValue(v1beta1.LabelNode, "n1")))))
	})

	It("tells of an address that this node uses itself, for as long as it does", func() {
		module.SetConflicts()
		address := netip.MustParseAddr("192.0.2.10")
		module.SetUse(address, announcers.Use{Reason: reason.LocalAddress, Interfaces: []string{"eth1"}})
		Eventually(conflicts, patience).Should(ConsistOf(HaveField("Status", SatisfyAll(
			HaveField("Reason", "LocalAddress"), HaveField("Withdrawn", true), HaveField("HardwareAddress", ""), HaveField("Message", ContainSubstring("eth1")),
		))))
		Eventually(statuses, patience).Should(BeEmpty())
		module.SetUse(address, announcers.Use{})
		Eventually(conflicts, patience).Should(BeEmpty())
		Eventually(statuses, patience).Should(HaveLen(1))
	})

	It("tells of addresses of pools that no Service is to get, unless an earlier node does", func() {
		gateway, broadcast := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.255")
		says := func(address netip.Addr, why reason.Reason, withdrawn bool) OmegaMatcher {
			return HaveField("Status", SatisfyAll(
				HaveField("Address", address.String()), HaveField("Node", "n1"), HaveField("Reason", string(why)), HaveField("Withdrawn", withdrawn)))
		}
		Expect(conflicts()).To(BeEmpty())
		module.SetUse(gateway, announcers.Use{Reason: reason.NextHopAddress})
		module.SetUnsuitable(broadcast, reason.New(reason.BroadcastAddress, "192.0.2.255 is the broadcast address of 192.0.2.0/24 on interface eth0"))
		Eventually(conflicts, patience).Should(ConsistOf(says(gateway, reason.NextHopAddress, true), says(broadcast, reason.BroadcastAddress, false)))

		By("taking them back")
		module.SetUse(gateway, announcers.Use{})
		module.SetUnsuitable(broadcast, nil)
		Eventually(conflicts, patience).Should(BeEmpty())

		By("another node that tells of one of them")
		members.Set("n0", membership.State{Unsuitable: []netip.Addr{gateway}})
		module.SetUse(gateway, announcers.Use{Reason: reason.NextHopAddress})
		module.SetUnsuitable(broadcast, reason.New(reason.BroadcastAddress, ""))
		Eventually(conflicts, patience).Should(ConsistOf(says(broadcast, reason.BroadcastAddress, false)))
		members.Remove("n0")
		Eventually(conflicts, patience).Should(ConsistOf(says(broadcast, reason.BroadcastAddress, false), says(gateway, reason.NextHopAddress, true)))
		module.SetUse(gateway, announcers.Use{})
		module.SetUnsuitable(broadcast, nil)
		Eventually(conflicts, patience).Should(BeEmpty())
	})

	It("takes over what an earlier pod of the node told of", func() {
		now := clocktesting.NewFakePassiveClock(time.Unix(2_000_000_000, 0))
		status := NewStatus(StatusOptions{
			Client: cached, Recorder: record.NewFakeRecorder(100), Node: "n1", Namespace: namespace, PodName: "speaker-y", PodUID: "456",
			Clock: now, Log: logr.Discard(),
		})
		address := netip.MustParseAddr("192.0.2.20")
		old := &v1beta1.AddressConflict{
			ObjectMeta: metav1.ObjectMeta{
				Name: status.conflictName(address), Namespace: namespace, Labels: map[string]string{v1beta1.LabelNode: "n1"},
				OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: "speaker-x", UID: "123"}},
			},
			Status: v1beta1.AddressConflictStatus{
				Address: address.String(), Node: "n1", Reason: "AddressConflict", HardwareAddress: theirs,
				FirstSeen: metav1.NewTime(now.Now().Add(-time.Minute)), LastSeen: metav1.NewTime(now.Now()),
			},
		}
		create(ctx, direct, old)
		read := func(g Gomega) *v1beta1.AddressConflict {
			g.Expect(status.write(ctx, conflictKey(address))).To(Succeed())
			found := &v1beta1.AddressConflict{}
			g.Expect(cached.Get(ctx, client.ObjectKeyFromObject(old), found)).To(Succeed())
			return found
		}
		Eventually(func(g Gomega) { g.Expect(read(g).OwnerReferences[0].UID).To(BeEquivalentTo("123")) }, patience).Should(Succeed())

		status.Report(Outcome{Node: "n1", Conflicts: []announcers.Conflict{{Addr: address, HardwareAddress: another, Since: now.Now(), Last: now.Now()}}})
		now.SetTime(now.Now().Add(confirmConflict))
		Eventually(func(g Gomega) {
			found := read(g)
			g.Expect(found.OwnerReferences).To(ConsistOf(HaveField("Name", "speaker-y")))
			g.Expect(found.Status.HardwareAddress).To(Equal(another))
			g.Expect(found.Status.FirstSeen.Unix()).To(Equal(old.Status.FirstSeen.Unix()))
		}, patience).Should(Succeed())

		now.SetTime(now.Now().Add(announcers.ConflictTTL))
		Eventually(func(g Gomega) {
			g.Expect(status.write(ctx, conflictKey(address))).To(Succeed())
			g.Expect(conflicts()).To(BeEmpty())
		}, patience).Should(Succeed())
	})

	announced := func() []v1beta1.ServiceBGPStatus {
		var list v1beta1.ServiceBGPStatusList
		Expect(direct.List(ctx, &list, client.InNamespace(namespace))).To(Succeed())
		return list.Items
	}

	sessions := func() []v1beta1.BGPSessionStatus {
		var list v1beta1.BGPSessionStatusList
		Expect(direct.List(ctx, &list, client.InNamespace(namespace))).To(Succeed())
		return list.Items
	}

	It("says which routers are told of a Service, beside what other nodes say", func() {
		ad := bgpAd("routers", v1beta1.BGPAdvertisementSpec{})
		theirs := &v1beta1.ServiceBGPStatus{ObjectMeta: metav1.ObjectMeta{Name: "bgp-theirs", Namespace: namespace, Labels: map[string]string{
			v1beta1.LabelNode: "n2", v1beta1.LabelServiceName: "web", v1beta1.LabelServiceNamespace: "default",
		}}}
		create(ctx, direct, theirs)
		ad.Namespace = namespace
		create(ctx, direct, &ad)
		for _, name := range []string{"tor-b", "tor-a"} {
			peer := bgpPeer(name, "198.51.100.1")
			peer.Namespace, peer.Spec.PeerPort = namespace, uint16(1000+len(name)+int(name[4]))
			create(ctx, direct, &peer)
		}
		Eventually(announced, patience).Should(ConsistOf(HaveField("Name", "bgp-theirs"), SatisfyAll(
			HaveField("Name", HavePrefix("bgp-")),
			HaveField("Labels", Equal(map[string]string{
				v1beta1.LabelNode: "n1", v1beta1.LabelServiceName: "web", v1beta1.LabelServiceNamespace: "default",
			})),
			HaveField("OwnerReferences", ConsistOf(HaveField("Name", "speaker-x"))),
			HaveField("Status", v1beta1.ServiceBGPStatusStatus{Node: "n1", ServiceName: "web", ServiceNamespace: "default", Peers: []string{"tor-a", "tor-b"}}),
		)))
		Expect(direct.Delete(ctx, theirs)).To(Succeed())
	})

	It("says how its sessions are, as soon as they change", func() {
		ours := func(peer, state, why string) OmegaMatcher {
			return SatisfyAll(
				HaveField("Labels", Equal(map[string]string{v1beta1.LabelNode: "n1", v1beta1.LabelPeer: peer})),
				HaveField("OwnerReferences", ConsistOf(HaveField("Name", "speaker-x"))),
				HaveField("Status", SatisfyAll(
					HaveField("Node", "n1"), HaveField("Peer", peer), HaveField("State", state), HaveField("Reason", why), HaveField("PrefixesSent", BeEquivalentTo(1)),
					HaveField("LocalASN", BeEquivalentTo(64512)),
				)),
			)
		}
		Eventually(sessions, patience).Should(ConsistOf(ours("tor-a", "Established", "SessionEstablished"), ours("tor-b", "Established", "SessionEstablished")))
		Eventually(told.Events, patience).Should(Receive(HavePrefix("Normal SessionEstablished ")))
		routers.SetPeer("tor-a", announcers.PeerState{Phase: announcers.Connect, Problem: reason.New(reason.ConnectionRefused, ""), Announced: 1})
		Eventually(sessions, patience).Should(ConsistOf(ours("tor-a", "Active", "ConnectionRefused"), ours("tor-b", "Established", "SessionEstablished")))
	})

	It("writes what it says of routers again when somebody deletes it", func() {
		before := append([]types.UID{sessions()[0].UID}, announced()[0].UID)
		Expect(direct.DeleteAllOf(ctx, &v1beta1.BGPSessionStatus{}, client.InNamespace(namespace))).To(Succeed())
		Expect(direct.DeleteAllOf(ctx, &v1beta1.ServiceBGPStatus{}, client.InNamespace(namespace))).To(Succeed())
		Eventually(sessions, patience).Should(ConsistOf(HaveField("Status.Peer", "tor-a"), HaveField("Status.Peer", "tor-b")))
		Eventually(announced, patience).Should(ConsistOf(SatisfyAll(HaveField("UID", Not(BeElementOf(before))), HaveField("Status.Node", "n1"))))
	})

	It("puts right what it says of routers when somebody changes it", func() {
		for _, row := range []struct{ what, patch string }{
			{"status", `{"status":{"peers":["theirs"]}}`},
			{"", `{"metadata":{"ownerReferences":[]}}`},
			{"", `{"metadata":{"labels":{"` + v1beta1.LabelServiceName + `":"theirs"}}}`},
			{"", `{"metadata":{"labels":null}}`},
		} {
			before := announced()[0]
			patch := client.RawPatch(types.MergePatchType, []byte(row.patch))
			if row.what == "status" {
				Expect(direct.Status().Patch(ctx, before.DeepCopy(), patch)).To(Succeed())
			} else {
				Expect(direct.Patch(ctx, before.DeepCopy(), patch)).To(Succeed())
			}
			Eventually(announced, patience).Should(ConsistOf(SatisfyAll(
				HaveField("UID", before.UID), HaveField("Labels", before.Labels), HaveField("OwnerReferences", before.OwnerReferences),
				HaveField("Status", before.Status), HaveField("ResourceVersion", Not(Equal(before.ResourceVersion))),
			)), row.patch)
		}
	})

	It("finds a session's status again that somebody took the label of", func() {
		uid := sessions()[0].UID
		Expect(direct.Patch(ctx, &sessions()[0], client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":null}}`)))).To(Succeed())
		Eventually(sessions, patience).Should(ContainElement(SatisfyAll(HaveField("UID", uid), HaveField("Labels", HaveKeyWithValue(v1beta1.LabelNode, "n1")))))
	})

	state := func() v1beta1.ConfigurationStateStatus {
		var found v1beta1.ConfigurationState
		Expect(direct.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "speaker-n1"}, &found)).To(Succeed())
		return found.Status
	}

	It("speaks with a router only with its password, and says why not without", func() {
		peer := bgpPeer("tor-c", "198.51.100.1")
		peer.Namespace, peer.Spec.PeerPort, peer.Spec.PasswordSecret.Name = namespace, 999, "tor-c"
		create(ctx, direct, &peer)
		session := HaveField("Status", SatisfyAll(HaveField("Peer", "tor-c"), HaveField("State", "Idle"), HaveField("Reason", "PasswordSecretMissing")))
		Eventually(sessions, patience).Should(ContainElement(session))
		Expect(routers.Last().Peers).To(HaveLen(2))
		Eventually(state, patience).Should(SatisfyAll(
			HaveField("Result", v1beta1.ConfigurationInvalid),
			HaveField("ErrorSummary", ContainSubstring("configuration error: BGPPeer tor-c: PasswordSecretMissing: the Secret tor-c does not exist")),
		))

		By("taking a Secret of another type for no password")
		wrong := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "tor-c", Namespace: namespace}, StringData: map[string]string{"password": "hush"}}
		create(ctx, direct, wrong)
		Eventually(state, patience).Should(HaveField("ErrorSummary", ContainSubstring("BGPPeer tor-c: PasswordSecretMissing: the Secret tor-c is of type Opaque")))
		Expect(direct.Delete(ctx, wrong)).To(Succeed())

		By("mending it")
		create(ctx, direct, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: "tor-c", Namespace: namespace}, Type: corev1.SecretTypeBasicAuth,
			StringData: map[string]string{"password": "hush", "username": ""},
		})
		Eventually(func() []announcers.Peer { return routers.Last().Peers }, patience).Should(ContainElement(SatisfyAll(
			HaveField("Name", "tor-c"), HaveField("Password", announcers.Secret("hush")),
		)))
		Eventually(sessions, patience).Should(ContainElement(HaveField("Status", SatisfyAll(HaveField("Peer", "tor-c"), HaveField("State", "Established")))))
		Eventually(state, patience).Should(HaveField("ErrorSummary", Not(ContainSubstring("tor-c"))))
	})

	It("speaks with a router without a password when the one in the Secret is empty, with a warning", func() {
		create(ctx, direct, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: "empty", Namespace: namespace}, Type: corev1.SecretTypeBasicAuth, Data: map[string][]byte{"password": {}},
		})
		peer := bgpPeer("tor-e", "198.51.100.5")
		peer.Namespace, peer.Spec.PasswordSecret.Name = namespace, "empty"
		create(ctx, direct, &peer)
		Eventually(func() []announcers.Peer { return routers.Last().Peers }, patience).Should(ContainElement(SatisfyAll(
			HaveField("Name", "tor-e"), HaveField("Password", announcers.Secret("")),
		)))
		Eventually(sessions, patience).Should(ContainElement(HaveField("Status", SatisfyAll(
			HaveField("Peer", "tor-e"), HaveField("State", "Established"), HaveField("Reason", "PasswordEmpty"), HaveField("Message", ContainSubstring("Secret empty is empty")),
		))))
		Expect(state().ErrorSummary).NotTo(ContainSubstring("tor-e"))
	})

	It("is valid while only objects of other nodes are left out, and carries the warning about an empty password", func() {
		Expect(direct.Delete(ctx, inNamespace(pool("green")))).To(Succeed())
		there := bgpPeer("tor-d", "198.51.100.4")
		there.Namespace, there.Spec.BFDProfile, there.Spec.NodeSelectors = namespace, "gone", []metav1.LabelSelector{{MatchLabels: map[string]string{"rack": "b"}}}
		create(ctx, direct, &there)
		Eventually(state, patience).Should(SatisfyAll(
			HaveField("Result", v1beta1.ConfigurationValid), HaveField("ErrorSummary", ""),
			HaveField("Conditions", ContainElement(SatisfyAll(
				HaveField("Type", v1beta1.ConditionConfigReconcilerValid), HaveField("Status", metav1.ConditionTrue), HaveField("Reason", "ConfigurationWarning"),
				HaveField("Message", HavePrefix("BGPPeer tor-e: PasswordEmpty: ")),
			))),
		))

		By("becoming invalid once the peer selects this node")
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}
		Expect(direct.Patch(ctx, node, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"rack":"b"}}}`)))).To(Succeed())
		Eventually(state, patience).Should(SatisfyAll(
			HaveField("Result", v1beta1.ConfigurationInvalid), HaveField("ErrorSummary", ContainSubstring("BGPPeer tor-d: UnknownBFDProfile: ")),
		))
		Expect(direct.Patch(ctx, node, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":null}}`)))).To(Succeed())
		Eventually(state, patience).Should(HaveField("Result", v1beta1.ConfigurationValid))
		Expect(direct.Delete(ctx, &there)).To(Succeed())
		empty := bgpPeer("tor-e", "")
		empty.Namespace = namespace
		Expect(direct.Delete(ctx, &empty)).To(Succeed())
		Eventually(sessions, patience).ShouldNot(ContainElement(HaveField("Status.Peer", "tor-e")))
	})

	It("tells of trouble between the speakers on its ConfigurationState, in a condition and an event", func() {
		members.SetProblems(reason.New(reason.GossipKeyDiffers, "refused 10.0.0.9"))
		Eventually(state, patience).Should(SatisfyAll(
			HaveField("Result", v1beta1.ConfigurationValid),
			HaveField("Conditions", ContainElement(SatisfyAll(
				HaveField("Type", "membership"), HaveField("Status", metav1.ConditionFalse), HaveField("Reason", "GossipKeyDiffers"),
				HaveField("Message", ContainSubstring("10.0.0.9")),
			))),
		))
		Eventually(told.Events, patience).Should(Receive(HavePrefix("Warning GossipKeyDiffers ")))
		members.SetProblems()
		Eventually(state, patience).Should(HaveField("Conditions", ContainElement(SatisfyAll(HaveField("Type", "membership"), HaveField("Status", metav1.ConditionTrue)))))
	})

	It("removes a session's status with its peer", func() {
		peer := bgpPeer("tor-c", "")
		peer.Namespace = namespace
		remembered := func() []string {
			status.events.mu.Lock()
			defer status.events.mu.Unlock()
			return slices.Sorted(maps.Keys(status.events.sessions))
		}
		Eventually(remembered, patience).Should(ContainElement("tor-c"))
		Expect(direct.Delete(ctx, &peer)).To(Succeed())
		Eventually(sessions, patience).Should(ConsistOf(HaveField("Status.Peer", "tor-a"), HaveField("Status.Peer", "tor-b")))
		Eventually(remembered, patience).ShouldNot(ContainElement("tor-c"), "one that is made again is new")
	})

	It("drains the node by its label", func() {
		var node corev1.Node
		Expect(direct.Get(ctx, client.ObjectKey{Name: "n1"}, &node)).To(Succeed())
		node.Labels = map[string]string{v1beta1.LabelDrain: ""}
		Expect(direct.Update(ctx, &node)).To(Succeed())
		Eventually(func() bool { return routers.Last().Drain }, patience).Should(BeTrue())
		Eventually(announced, patience).Should(BeEmpty())
		delete(node.Labels, v1beta1.LabelDrain)
		Expect(direct.Update(ctx, &node)).To(Succeed())
		Eventually(announced, patience).Should(HaveLen(1))
		Expect(routers.Last().Drain).To(BeFalse())
	})

	It("withdraws its status when the Service goes", func() {
		Expect(direct.Delete(ctx, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default"}})).To(Succeed())
		Eventually(statuses, patience).Should(BeEmpty())
		Eventually(announced, patience).Should(BeEmpty())
	})
})

func create(ctx context.Context, c client.Client, o client.Object) {
	GinkgoHelper()
	Expect(c.Create(ctx, o)).To(Succeed())
}

func inNamespace(p v1beta1.IPAddressPool) *v1beta1.IPAddressPool {
	p.Namespace = namespace
	return &p
}

// createService makes a Service that has its address already, with one ready endpoint.
func createService(ctx context.Context, c client.Client, name, address string) {
	GinkgoHelper()
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 80}}},
	}
	create(ctx, c, s)
	s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: netip.MustParseAddr(address).String()}}
	Expect(c.Status().Update(ctx, s)).To(Succeed())
	create(ctx, c, &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: name, Namespace: "default", Labels: map[string]string{discoveryv1.LabelServiceName: name}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}, NodeName: ptr.To("n2")}},
	})
}
