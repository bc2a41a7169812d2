// SPDX-License-Identifier: Apache-2.0

package peering

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
	"metalsuite.io/internal/policy"
)

// world is everything that a pass looks at.
type world struct {
	objects policy.Objects
	// sessions are what the speakers say, by peer and node.
	sessions map[string]map[string]v1beta1.BGPSessionStatusStatus
	// speakers are the nodes that have a speaker. Of silent nodes the API server has heard nothing lately, so what their speakers said may
	// be true no more.
	speakers, silent map[string]bool
}

// speakerState is how the names of the speakers' ConfigurationStates begin; the node's name follows.
const speakerState = "speaker-"

func observe(ctx context.Context, reader client.Reader, namespace string) (world, error) {
	var (
		pools       v1beta1.IPAddressPoolList
		l2          v1beta1.L2AdvertisementList
		bgp         v1beta1.BGPAdvertisementList
		peers       v1beta2.BGPPeerList
		profiles    v1beta1.BFDProfileList
		communities v1beta1.CommunityList
		sessions    v1beta1.BGPSessionStatusList
		states      v1beta1.ConfigurationStateList
		nodes       corev1.NodeList
	)
	for _, list := range []client.ObjectList{&pools, &l2, &bgp, &peers, &profiles, &communities, &sessions, &states} {
		if err := reader.List(ctx, list, client.InNamespace(namespace)); err != nil {
			return world{}, fmt.Errorf("listing %T: %w", list, err)
		}
	}
	if err := reader.List(ctx, &nodes); err != nil {
		return world{}, fmt.Errorf("listing nodes: %w", err)
	}
	w := world{objects: policy.Objects{
		Pools: pools.Items, L2Advertisements: l2.Items, BGPAdvertisements: bgp.Items,
		BGPPeers: peers.Items, BFDProfiles: profiles.Items, Communities: communities.Items,
	}}
	w.addNodes(nodes.Items)
	w.addSpeakers(states.Items)
	w.addSessions(sessions.Items)
	return w, nil
}

func (w *world) addNodes(nodes []corev1.Node) {
	w.objects.Nodes, w.silent = map[string]map[string]string{}, map[string]bool{}
	for i := range nodes {
		n := &nodes[i]
		w.objects.Nodes[n.Name] = n.Labels
		if silent(n) {
			w.silent[n.Name] = true
		}
	}
}

// silent reports whether the node's kubelet has ceased to speak with the API server (Kubernetes: the node controller sets Ready to
// Unknown).
func silent(n *corev1.Node) bool {
	for i := range n.Status.Conditions {
		if c := &n.Status.Conditions[i]; c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionUnknown
		}
	}
	return false
}

// addSpeakers takes the nodes with a speaker from the ConfigurationStates, which go with the speakers' pods.
func (w *world) addSpeakers(states []v1beta1.ConfigurationState) {
	w.speakers = map[string]bool{}
	for i := range states {
		if node, ok := speakerNode(&states[i]); ok {
			w.speakers[node] = true
		}
	}
}

func speakerNode(s *v1beta1.ConfigurationState) (string, bool) {
	if s.Labels[v1beta1.LabelComponentType] != "speaker" {
		return "", false
	}
	return strings.CutPrefix(s.Name, speakerState)
}

// addSessions sorts what speakers say by whom it is about. A node with a session has a speaker, whatever else is known of it.
func (w *world) addSessions(sessions []v1beta1.BGPSessionStatus) {
	w.sessions = map[string]map[string]v1beta1.BGPSessionStatusStatus{}
	for i := range sessions {
		s := &sessions[i].Status
		if w.sessions[s.Peer] == nil {
			w.sessions[s.Peer] = map[string]v1beta1.BGPSessionStatusStatus{}
		}
		w.sessions[s.Peer][s.Node] = *s
		w.speakers[s.Node] = true
	}
}
