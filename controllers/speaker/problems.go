// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"maps"
	"slices"

	"metalsuite.io/api/reason"
	"metalsuite.io/internal/policy"
)

// severity says what a problem costs.
type severity string

const (
	// leftOut is a part of the configuration that this node does not use: its ConfigurationState is Invalid.
	leftOut severity = "error"
	// fault is a part of this speaker or of its node that does not work: a condition of its ConfigurationState is False.
	fault severity = "fault"
	// warning is something in use that does less than the user may expect.
	warning severity = "warning"
)

// problem is one problem that this speaker knows and that concerns its node.
type problem struct {
	severity
	// part is the condition of the part of the speaker that has the problem; for the configuration it is empty, and object has the problem.
	part   string
	object policy.ObjectRef
	reason.Problem
}

// line is the problem as the summary of a ConfigurationState has it.
func (p problem) line() string { return policy.Problem{Object: p.object, Problem: p.Problem}.String() }

// problems is the one collection of problems from which the ConfigurationState, the metrics and the events of this node are made: objects
// that the policy leaves out or uses in part, BGPPeers without a usable password, and parts of the speaker and its node that do not work.
// Problems of a session are in its BGPSessionStatus, and those of a Service in its events.
func (o Outcome) problems() []problem {
	var all []problem
	if o.World.Policy != nil {
		all = append(all, ofObjects(leftOut, o.World.Policy.ProblemsOn(o.Node))...)
		all = append(all, ofPeers(leftOut, o.Plan.LeftOut)...)
		all = append(all, ofObjects(warning, o.World.Policy.NotesOn(o.Node))...)
		all = append(all, ofPeers(warning, o.Plan.Warned)...)
	}
	for _, p := range o.parts() {
		if p.problem != nil {
			all = append(all, problem{severity: p.severity, part: p.condition, Problem: *p.problem})
		}
	}
	return all
}

func ofObjects(s severity, problems []policy.Problem) []problem {
	all := make([]problem, 0, len(problems))
	for _, p := range problems {
		all = append(all, problem{severity: s, object: p.Object, Problem: p.Problem})
	}
	return all
}

func ofPeers(s severity, peers map[string]*reason.Problem) []problem {
	all := make([]problem, 0, len(peers))
	for _, name := range slices.Sorted(maps.Keys(peers)) {
		all = append(all, problem{severity: s, object: policy.ObjectRef{Kind: policy.KindBGPPeer, Name: name}, Problem: *peers[name]})
	}
	return all
}

// Conditions of a ConfigurationState that every speaker has; each announcer has one of its own.
const (
	// conditionNodeAble is True while this node is able to announce.
	conditionNodeAble = "nodeAble"
	// conditionMembership is True while the speakers can talk to each other as far as this one knows.
	conditionMembership = "membership"
)

// part is a part of this speaker with a condition of its own, and its problem if it has one.
type part struct {
	condition string
	severity  severity
	problem   *reason.Problem
	// trouble begins the event about the problem.
	trouble string
}

// parts returns the parts of this speaker: its announcers by name, the node and the membership.
func (o Outcome) parts() []part {
	var all []part
	for _, name := range slices.Sorted(maps.Keys(o.Reports)) {
		all = append(all, part{name + "Announcer", fault, o.Reports[name].Problem, "announcer " + name + " does not work on node " + o.Node})
	}
	all = append(all, part{conditionNodeAble, fault, o.Unable, "node " + o.Node + " cannot announce"})
	member := part{conditionMembership, fault, nil, "the speaker of node " + o.Node + " has a problem with the connection to other speakers"}
	if len(o.Membership) > 0 {
		member.problem = o.Membership[0]
		if member.problem.Reason == reason.GossipDelayed {
			member.severity = warning
		}
	}
	return append(all, member)
}

// lines returns a line for each problem of the configuration of a severity.
func lines(all []problem, s severity) []string {
	var out []string
	for _, p := range all {
		if p.part == "" && p.severity == s {
			out = append(out, p.line())
		}
	}
	return out
}
