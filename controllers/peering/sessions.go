// SPDX-License-Identifier: Apache-2.0

package peering

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/internal/policy"
)

// verdict is what a condition says.
type verdict struct {
	status  metav1.ConditionStatus
	why     reason.Reason
	message string
}

// maxNamed is how many nodes a message names.
const maxNamed = 3

// trouble is what is wrong on a node.
type trouble struct {
	node    string
	why     reason.Reason
	message string
}

// weight sorts troubles: first what somebody should mend, then what may pass, then what nobody knows.
func (t trouble) weight() int {
	switch t.why {
	case reason.NotReported:
		return 2
	case reason.SessionConnecting:
		return 1
	default:
		return 0
	}
}

// established sums up the sessions with a peer over all nodes that it selects and that have a speaker.
func (w *world) established(p *policy.Policy, name string) verdict {
	i, valid := slices.BinarySearchFunc(p.Peers, name, func(peer policy.Peer, name string) int { return cmp.Compare(peer.Name, name) })
	if problem, wrong := p.ProblemOf(policy.ObjectRef{Kind: policy.KindBGPPeer, Name: name}); wrong && (!valid || len(p.Peers[i].Nodes) == 0) {
		return verdict{metav1.ConditionFalse, problem.Reason, problem.Message()}
	}
	if !valid || len(p.Peers[i].Nodes) == 0 {
		return verdict{metav1.ConditionUnknown, reason.NoNodes, reason.Problem{Reason: reason.NoNodes}.Message()}
	}
	return w.sum(p.Peers[i].Nodes, w.sessions[name])
}

// sum looks at the sessions of the selected nodes with one peer.
func (w *world) sum(selected map[string]int, sessions map[string]v1beta1.BGPSessionStatusStatus) verdict {
	var bad, remarks []trouble
	all, told := 0, 0
	for node := range selected {
		if !w.speakers[node] {
			continue
		}
		all++
		s, ok := sessions[node]
		if ok {
			told++
		}
		t, fine := w.look(node, s, ok)
		switch {
		case !fine:
			bad = append(bad, t)
		case t.why != reason.SessionEstablished:
			remarks = append(remarks, t)
		}
	}
	if told == 0 {
		return verdict{metav1.ConditionUnknown, reason.NotReported, reason.Problem{Reason: reason.NotReported}.Message()}
	}
	sorted(bad)
	sorted(remarks)
	v := verdict{metav1.ConditionTrue, reason.SessionEstablished, fmt.Sprintf("established on %d of %d nodes", all-len(bad), all)}
	if len(bad) > 0 {
		v.status, v.why = metav1.ConditionFalse, bad[0].why
	}
	v.message += listed(append(bad, remarks...))
	return v
}

// look says what is wrong with the session of a node; fine is whether it is established all the same.
func (w *world) look(node string, s v1beta1.BGPSessionStatusStatus, told bool) (t trouble, fine bool) {
	switch {
	case !told:
		return trouble{node, reason.NotReported, "its speaker has not reported a session with the peer"}, false
	case w.silent[node]:
		return trouble{node, reason.NotReported, "the node has not reported lately"}, false
	}
	established := s.State == "Established"
	t = trouble{node, reason.Reason(s.Reason), s.Message}
	if t.why == "" {
		t.why = reason.SessionConnecting
		if established {
			t.why = reason.SessionEstablished
		}
	}
	t.message = cmp.Or(t.message, t.why.Text().Sentence)
	return t, established
}

func sorted(all []trouble) {
	slices.SortFunc(all, func(a, b trouble) int {
		return cmp.Or(cmp.Compare(a.weight(), b.weight()), cmp.Compare(a.node, b.node))
	})
}

// listed names the first troubles: "; n3: ConnectionRefused: the peer refuses the connection".
func listed(all []trouble) string {
	var text strings.Builder
	for _, t := range all[:min(len(all), maxNamed)] {
		fmt.Fprintf(&text, "; %s: %s: %s", t.node, t.why, strings.TrimSuffix(t.message, "."))
	}
	if rest := len(all) - maxNamed; rest > 0 {
		fmt.Fprintf(&text, "; and %d more", rest)
	}
	return text.String()
}
