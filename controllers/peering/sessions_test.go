// SPDX-License-Identifier: Apache-2.0

package peering

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
	"metalsuite.io/internal/policy"
)

// session returns what the speaker of a node says of a peer.
func session(node, peer, state string, why reason.Reason, message string) v1beta1.BGPSessionStatus {
	return v1beta1.BGPSessionStatus{Status: v1beta1.BGPSessionStatusStatus{Node: node, Peer: peer, State: state, Reason: string(why), Message: message}}
}

func up(node string) v1beta1.BGPSessionStatus {
	return session(node, "tor", "Established", reason.SessionEstablished, "")
}

func down(node string, why reason.Reason) v1beta1.BGPSessionStatus {
	return session(node, "tor", "Active", why, "")
}

func state(node string) v1beta1.ConfigurationState {
	return v1beta1.ConfigurationState{ObjectMeta: metav1.ObjectMeta{
		Name: "speaker-" + node, Labels: map[string]string{v1beta1.LabelComponentType: "speaker", v1beta1.LabelNodeName: node},
	}}
}

func TestEstablished(t *testing.T) {
	const yes, no, unknown = metav1.ConditionTrue, metav1.ConditionFalse, metav1.ConditionUnknown
	all := []v1beta1.ConfigurationState{state("n1"), state("n2"), state("n3"), {ObjectMeta: metav1.ObjectMeta{Name: "controller"}}}
	for _, row := range []struct {
		name     string
		speakers []v1beta1.ConfigurationState
		silent   []string
		sessions []v1beta1.BGPSessionStatus
		change   func(*v1beta2.BGPPeerSpec)
		status   metav1.ConditionStatus
		why      reason.Reason
		message  string // empty: not looked at
	}{
		{name: "nobody tells", speakers: all, status: unknown, why: reason.NotReported},
		{name: "no speaker at all", status: unknown, why: reason.NotReported},
		{name: "another peer's sessions", speakers: all, sessions: []v1beta1.BGPSessionStatus{session("n1", "other", "Established", "", "")},
			status: unknown, why: reason.NotReported},
		{name: "all nodes", speakers: all, sessions: []v1beta1.BGPSessionStatus{up("n1"), up("n2"), up("n3")},
			status: yes, why: reason.SessionEstablished, message: "established on 3 of 3 nodes"},
		{name: "a node without speaker", speakers: all[:2], sessions: []v1beta1.BGPSessionStatus{up("n1"), up("n2")},
			status: yes, why: reason.SessionEstablished, message: "established on 2 of 2 nodes"},
		{name: "a session before the speaker's own word", sessions: []v1beta1.BGPSessionStatus{up("n1")},
			status: yes, why: reason.SessionEstablished, message: "established on 1 of 1 nodes"},
		{name: "one is refused", speakers: all, sessions: []v1beta1.BGPSessionStatus{up("n1"), up("n2"), session("n3", "tor", "Active", reason.ConnectionRefused, "192.0.2.1:179 refuses.")},
			status: no, why: reason.ConnectionRefused, message: "established on 2 of 3 nodes; n3: ConnectionRefused: 192.0.2.1:179 refuses"},
		{name: "the worst first", speakers: all, sessions: []v1beta1.BGPSessionStatus{down("n1", reason.SessionConnecting), down("n3", reason.PeerASNMismatch)},
			status: no, why: reason.PeerASNMismatch, message: "established on 0 of 3 nodes; n3: PeerASNMismatch: the AS numbers of the peer and of this node do not match the configuration; " +
				"n1: SessionConnecting: the session is being established; n2: NotReported: its speaker has not reported a session with the peer"},
		{name: "one does not tell", speakers: all, sessions: []v1beta1.BGPSessionStatus{up("n1"), up("n3")},
			status: no, why: reason.NotReported, message: "established on 2 of 3 nodes; n2: NotReported: its speaker has not reported a session with the peer"},
		{name: "one was heard of long ago", speakers: all, silent: []string{"n2"}, sessions: []v1beta1.BGPSessionStatus{up("n1"), up("n2"), up("n3")},
			status: no, why: reason.NotReported, message: "established on 2 of 3 nodes; n2: NotReported: the node has not reported lately"},
		{name: "established, but for a family", speakers: all[:1], sessions: []v1beta1.BGPSessionStatus{session("n1", "tor", "Established", reason.NoNextHop, "no IPv6 address")},
			status: yes, why: reason.SessionEstablished, message: "established on 1 of 1 nodes; n1: NoNextHop: no IPv6 address"},
		{name: "established without a password", speakers: all[:1], sessions: []v1beta1.BGPSessionStatus{session("n1", "tor", "Established", reason.PasswordEmpty, "the password in the Secret tor is empty")},
			status: yes, why: reason.SessionEstablished, message: "established on 1 of 1 nodes; n1: PasswordEmpty: the password in the Secret tor is empty"},
		{name: "without a reason", speakers: all[:1], sessions: []v1beta1.BGPSessionStatus{session("n1", "tor", "Idle", "", "")},
			status: no, why: reason.SessionConnecting},
		{name: "nodes that are not selected", speakers: all, sessions: []v1beta1.BGPSessionStatus{up("n1"), down("n2", reason.BFDDown)},
			change: func(s *v1beta2.BGPPeerSpec) {
				s.NodeSelectors = []metav1.LabelSelector{{MatchLabels: map[string]string{"name": "n1"}}}
			},
			status: yes, why: reason.SessionEstablished, message: "established on 1 of 1 nodes"},
		{name: "no node is selected", speakers: all,
			change: func(s *v1beta2.BGPPeerSpec) {
				s.NodeSelectors = []metav1.LabelSelector{{MatchLabels: map[string]string{"name": "n9"}}}
			},
			status: unknown, why: reason.NoNodes},
		{name: "not valid", speakers: all, sessions: []v1beta1.BGPSessionStatus{up("n1")}, change: func(s *v1beta2.BGPPeerSpec) { s.BFDProfile = "gone" },
			status: no, why: reason.UnknownBFDProfile},
	} {
		t.Run(row.name, func(t *testing.T) {
			peer := v1beta2.BGPPeer{ObjectMeta: metav1.ObjectMeta{Name: "tor"}, Spec: v1beta2.BGPPeerSpec{MyASN: 64512, PeerASN: 64999, PeerAddress: "192.0.2.1"}}
			if row.change != nil {
				row.change(&peer.Spec)
			}
			w := world{objects: policy.Objects{BGPPeers: []v1beta2.BGPPeer{peer}}}
			w.addNodes(nodes(row.silent, "n1", "n2", "n3"))
			w.addSpeakers(row.speakers)
			w.addSessions(row.sessions)
			got := w.established(policy.Compile(w.objects), "tor")
			if got.status != row.status || got.why != row.why || row.message != "" && got.message != row.message {
				t.Errorf("got  %+v\nwant %s %s %s", got, row.status, row.why, row.message)
			}
		})
	}
}

// nodes returns nodes with a label of their name.
func nodes(silent []string, names ...string) (all []corev1.Node) {
	for _, name := range names {
		n := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"name": name}}}
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionFalse}}
		for _, s := range silent {
			if s == name {
				n.Status.Conditions[0].Status = corev1.ConditionUnknown
			}
		}
		all = append(all, n)
	}
	return all
}

func TestFewNodesAreNamed(t *testing.T) {
	w := world{}
	selected := map[string]int{}
	var sessions []v1beta1.BGPSessionStatus
	for _, node := range []string{"n5", "n1", "n4", "n2", "n3"} {
		selected[node] = 0
		sessions = append(sessions, down(node, reason.BFDDown))
	}
	w.addSpeakers(nil)
	w.addSessions(sessions)
	const text = ": BFDDown: BFD reports the path to the peer as down"
	want := "established on 0 of 5 nodes; n1" + text + "; n2" + text + "; n3" + text + "; and 2 more"
	for range 10 {
		if got := w.sum(selected, w.sessions["tor"]); got.message != want {
			t.Fatalf("got  %s\nwant %s", got.message, want)
		}
	}
}
