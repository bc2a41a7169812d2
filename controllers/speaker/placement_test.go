// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
)

func TestAServiceThatOnlyNodesWithoutSpeakerCouldAnnounceNamesThem(t *testing.T) {
	dedicated := []corev1.Taint{{Key: "dedicated", Value: "db", Effect: corev1.TaintEffectNoExecute}}
	one := func(spec v1beta1.L2AdvertisementSpec) func(*World) {
		return func(w *World) {
			w.Policy = compile([]v1beta1.IPAddressPool{pool("blue", "192.0.2.0/24")}, []v1beta1.L2Advertisement{advertisement("one", spec)})
		}
	}
	for _, row := range []struct {
		name  string
		local bool
		mend  func(*World)
		why   reason.Reason
		// texts must be in the message.
		texts []string
	}{
		{"the endpoint's node has no speaker", true, nil, reason.NoSpeakerOnNode,
			[]string{"externalTrafficPolicy Local and endpoints on no node with a live speaker, only node n2 (its speaker is not running", "spec.nodeSelector"}},
		{"the speakers' node selector excludes it", true, func(w *World) {
			w.Placement = placementOf(corev1.PodSpec{NodeSelector: map[string]string{"role": "edge"}})
		}, reason.NoSpeakerOnNode, []string{"node n2 (the node selector or affinity of the speakers does not match it)"}},
		{"a taint keeps its speaker away", true, func(w *World) {
			w.Placement, w.Nodes["n2"] = placementOf(corev1.PodSpec{}), Node{Taints: dedicated}
		}, reason.NoSpeakerOnNode, []string{"node n2 (the speakers do not tolerate its taint dedicated=db:NoExecute)"}},
		{"the taint is tolerated", true, func(w *World) {
			w.Placement = placementOf(corev1.PodSpec{Tolerations: []corev1.Toleration{{Key: "dedicated", Operator: corev1.TolerationOpExists}}})
			w.Nodes["n2"] = Node{Taints: dedicated}
		}, reason.NoSpeakerOnNode, []string{"node n2 (its speaker is not running"}},
		{"the node itself is gone", true, func(w *World) { delete(w.Nodes, "n2") }, reason.NoSpeakerOnNode, []string{"node n2 (it is not in the cluster)"}},
		{"another node with an endpoint has a speaker that is excluded", true, func(w *World) {
			w.Services[0].ServingNodes, w.Nodes["n1"] = map[string]bool{"n1": true, "n2": true}, Node{Excluded: true}
		}, reason.NoLocalEndpoints, nil},
		{"the advertisement selects other nodes than the endpoint's", true, one(v1beta1.L2AdvertisementSpec{NodeSelectors: onNode("n1", "n3")}), reason.NoLocalEndpoints, nil},
		{"the advertisement selects nodes without speaker", false, one(v1beta1.L2AdvertisementSpec{NodeSelectors: onNode("n2")}), reason.NoSpeakerOnNode,
			[]string{"L2Advertisements select no node with a live speaker, only node n2 ("}},
		{"the advertisement selects no node", false, one(v1beta1.L2AdvertisementSpec{NodeSelectors: onNode("n9")}), reason.NoMatchingAdvertisement, nil},
		{"Cluster traffic goes through any node", false, nil, "", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := base()
			w.Members = append(w.Members[:1:1], w.Members[2])
			w.Services = []Service{service("web", "192.0.2.10")}
			w.Services[0].Local = row.local
			if row.mend != nil {
				row.mend(&w)
			}
			got := Decide(w).Verdicts["default/web"].Problem
			if got == nil || row.why == "" {
				if got != nil || row.why != "" {
					t.Fatalf("got %v, want %q", got, row.why)
				}
				return
			}
			for _, text := range row.texts {
				if !strings.Contains(got.Message(), text) {
					t.Errorf("got %q, want %q in it", got.Message(), text)
				}
			}
			if got.Reason != row.why {
				t.Errorf("got %v, want %s", got, row.why)
			}
		})
	}
}

func TestOfManyNodesWithoutSpeakerTheFirstAreNamed(t *testing.T) {
	nodes := map[string]bool{"": true}
	for i := range 9 {
		nodes[fmt.Sprintf("m%d", i)] = true
	}
	for range 10 {
		got := speakerless(base(), "there is", nodes)
		const gone = " (it is not in the cluster)"
		if want := "there is no node with a live speaker, only node m0" + gone + ", node m1" + gone + ", node m2" + gone + " and 6 more"; got == nil || got.Detail != want {
			t.Fatalf("got %v, want %q", got, want)
		}
	}
}

func TestThePlacementIsThatOfTheDaemonSet(t *testing.T) {
	edge := func(p *corev1.PodSpec) { p.NodeSelector = map[string]string{"role": "edge"} }
	resource := appsv1.Resource("daemonsets")
	for _, row := range []struct {
		name, daemonSet string
		answer          func(context.Context, *appsv1.DaemonSet) error
		excludes, fails bool
	}{
		{"a node selector", "speaker", running("l2", edge), true, false},
		{"none", "speaker", running("l2", nil), false, false},
		{"no DaemonSet is known", "", failing(errors.New("asked")), false, false},
		{"it is not there", "speaker", failing(apierrors.NewNotFound(resource, "speaker")), false, false},
		{"it may not be read", "speaker", failing(apierrors.NewForbidden(resource, "speaker", errors.New("no role"))), false, false},
		{"the API server is ill", "speaker", failing(apierrors.NewInternalError(errors.New("ill"))), false, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			p, err := Installation{Reader: workload{answer: row.answer}, Namespace: namespace, DaemonSet: row.daemonSet}.Placement(t.Context())
			if (err != nil) != row.fails || (p.excludes("n1", nil, nil) != "") != row.excludes {
				t.Errorf("got %v, %v", p, err)
			}
		})
	}
}
