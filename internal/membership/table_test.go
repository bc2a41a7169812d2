// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func said(name string, life, seq uint64, s State) record {
	return record{Format: format, Name: name, stamp: stamp{Life: life, Seq: seq}, State: s}
}

func alive(life, seq uint64) peer {
	return peer{address: netip.MustParseAddr("10.0.0.2"), meta: meta{Format: format, stamp: stamp{Life: life, Seq: seq}}}
}

var (
	fit   = State{Fit: true, Links: map[string]string{"eth0": "02:00:00:00:00:02"}, Version: "v1"}
	unfit = State{Version: "v1"}
)

func onNet(prefix string) State {
	return State{Version: "v1", Subnets: []netip.Prefix{netip.MustParsePrefix(prefix)}}
}

func using(reason string) State {
	return State{Version: "v1", Uses: map[string]string{"192.0.2.1": reason}}
}

func TestTableShowsTheLatestStateOfTheLifeThatTheMemberClaims(t *testing.T) {
	tests := []struct {
		name string
		do   func(*table)
		want []Member
	}{
		{"alone and silent", func(*table) {}, nil},
		{"joined, state under way", func(t *table) { t.join("b", alive(5, 1)) }, []Member{{Name: "b"}}},
		{"joined before its state", func(t *table) {
			t.join("b", alive(5, 1))
			t.merge([]record{said("b", 5, 1, fit)})
		}, []Member{{Name: "b", State: fit, Known: true, Life: 5}}},
		{"state before joining", func(t *table) {
			t.merge([]record{said("b", 5, 1, fit)})
			t.join("b", alive(5, 1))
		}, []Member{{Name: "b", State: fit, Known: true, Life: 5}}},
		{"a state alone makes no member", func(t *table) { t.merge([]record{said("b", 5, 1, fit)}) }, nil},
		{"a stale state loses", func(t *table) {
			t.join("b", alive(5, 2))
			t.merge([]record{said("b", 5, 2, unfit), said("b", 5, 1, fit)})
		}, []Member{{Name: "b", State: unfit, Known: true, Life: 5}}},
		{"restarted: the old life counts no longer", func(t *table) {
			t.join("b", alive(5, 9))
			t.merge([]record{said("b", 5, 9, fit)})
			t.join("b", alive(6, 1))
		}, []Member{{Name: "b"}}},
		{"restarted: the old life is not taken in again", func(t *table) {
			t.join("b", alive(6, 1))
			t.merge([]record{said("b", 6, 1, unfit), said("b", 5, 9, fit)})
		}, []Member{{Name: "b", State: unfit, Known: true, Life: 6}}},
		{"restarted with a clock set back", func(t *table) {
			t.join("b", alive(5, 9))
			t.merge([]record{said("b", 5, 9, unfit)})
			t.join("b", alive(1, 1))
			t.merge([]record{said("b", 1, 1, fit)})
		}, []Member{{Name: "b", State: fit, Known: true, Life: 1}}},
		{"left", func(t *table) {
			t.join("b", alive(5, 1))
			t.merge([]record{said("b", 5, 1, fit)})
			t.leave("b")
		}, nil},
		{"returned: asked for its state again", func(t *table) {
			t.join("b", alive(5, 1))
			t.merge([]record{said("b", 5, 1, fit)})
			t.leave("b")
			t.join("b", alive(5, 1))
		}, []Member{{Name: "b"}}},
		{"of another format: fit without links", func(t *table) {
			t.join("b", peer{meta: meta{Format: format + 1}})
			t.merge([]record{{Format: format + 1, Name: "b", State: unfit}})
		}, []Member{{Name: "b", State: State{Fit: true}, Known: true}}},
		{"nobody speaks for us", func(t *table) { t.merge([]record{said("a", 99, 99, fit)}) }, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			table := newTable("a", 3)
			table.join("a", alive(3, 0))
			test.do(&table)
			want := append([]Member{{Name: "a", Life: 3}}, test.want...)
			if diff := cmp.Diff(want, table.members()); diff != "" {
				t.Errorf("members (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTableAsksForOutdatedStates(t *testing.T) {
	address := []netip.Addr{netip.MustParseAddr("10.0.0.2")}
	tests := []struct {
		name    string
		peer    peer
		records []record
		want    []netip.Addr
	}{
		{"never published", alive(5, 0), nil, address},
		{"nothing at hand", alive(5, 1), nil, address},
		{"older at hand", alive(5, 2), []record{said("b", 5, 1, fit)}, address},
		{"current at hand", alive(5, 2), []record{said("b", 5, 2, fit)}, nil},
		{"newer at hand", alive(5, 2), []record{said("b", 5, 3, fit)}, nil},
		{"another life at hand", alive(5, 2), []record{said("b", 4, 9, fit)}, address},
		{"another format", peer{address: address[0]}, nil, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			table := newTable("a", 3)
			table.merge(test.records)
			table.join("a", peer{address: netip.MustParseAddr("10.0.0.1")})
			table.join("b", test.peer)
			got := table.outdated()
			if diff := cmp.Diff(test.want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Errorf("outdated (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTablePublishesOnlyNews(t *testing.T) {
	table := newTable("a", 3)
	for i, step := range []struct {
		state State
		news  bool
		seq   uint64
	}{{State{}, true, 1}, {State{}, false, 1}, {fit, true, 2}, {fit.clone(), false, 2}, {unfit, true, 3},
		{onNet("192.0.2.0/24"), true, 4}, {onNet("192.0.2.0/24"), false, 4}, {onNet("192.0.2.0/25"), true, 5},
		{using("NextHopAddress"), true, 6}, {using("NextHopAddress"), false, 6}, {using("LocalAddress"), true, 7},
		{State{SubnetsTold: true}, true, 8}, {State{MACs: []string{"02:00:00:00:00:02"}}, true, 9}, {unfit, true, 10},
		{State{UsesCut: true}, true, 11}, {unfit, true, 12}} {
		if news := table.publish(step.state); news != step.news || table.own().Seq != step.seq {
			t.Errorf("step %d: news %v, seq %d", i, news, table.own().Seq)
		}
	}
	table.clear()
	if own := table.members(); len(own) != 1 || !own[0].Known || own[0].State.Version != "v1" {
		t.Errorf("own state is lost: %v", own)
	}
}

func TestMembersAreCopies(t *testing.T) {
	table := newTable("a", 3)
	state := using("LocalAddress")
	state.Links, state.Subnets, state.MACs = fit.Links, onNet("192.0.2.0/24").Subnets, []string{"02:00:00:00:01:02"}
	state.Unsuitable = []netip.Addr{netip.MustParseAddr("192.0.2.9")}
	table.publish(state.clone())
	mine := table.members()[0].State
	mine.Links["eth0"], mine.Uses["192.0.2.1"], mine.Subnets[0], mine.MACs[0] = "changed", "changed", netip.Prefix{}, "changed"
	mine.Unsuitable[0] = netip.Addr{}
	if !table.members()[0].State.equal(state) {
		t.Errorf("a caller changed the table to %v", table.members()[0].State)
	}
}
