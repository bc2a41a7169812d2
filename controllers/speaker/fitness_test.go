// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"testing"
	"time"
)

func TestFitness(t *testing.T) {
	start := time.Unix(1000, 0)
	type ask struct {
		after time.Duration
		condition
		answer
	}
	able, withOthers, alone := condition{able: true}, condition{able: true, others: true}, condition{able: true, alone: true, minority: true}
	oneOfTwo := condition{able: true, alone: true}
	fit := answer{fit: true}
	in := func(d time.Duration) answer { return answer{again: d} }
	for name, asks := range map[string][]ask{
		"a cluster that starts does not wait": {{0, able, fit}, {0, withOthers, fit}},
		"a returning node waits": {
			{0, withOthers, in(3 * time.Second)}, {time.Second, withOthers, in(2 * time.Second)}, {3 * time.Second, withOthers, fit},
		},
		"it stops waiting when nobody else counts": {{0, withOthers, in(3 * time.Second)}, {time.Second, able, fit}},
		"losing the link starts it anew": {
			{0, able, fit}, {time.Second, condition{others: true}, answer{}}, {2 * time.Second, withOthers, in(3 * time.Second)},
		},
		"a node whose others died serves at once": {{0, able, fit}, {10 * time.Second, alone, answer{}}},
		"a node that was cut off leaves its addresses alone, also when its link is back": {
			{0, able, fit},
			{10 * time.Second, condition{alone: true}, answer{isolated: true}},
			{20 * time.Second, alone, answer{isolated: true, again: 3 * time.Second}},
			{21 * time.Second, withOthers, in(3 * time.Second)},
			{24 * time.Second, withOthers, fit},
		},
		"nobody is there when its link has been back for a while": {
			{0, condition{alone: true}, answer{isolated: true}}, {time.Second, alone, answer{isolated: true, again: 3 * time.Second}},
			{4 * time.Second, oneOfTwo, fit},
		},
		"a node that was cut off silently waits when it meets the others again": {
			{0, able, fit}, {10 * time.Second, alone, answer{}}, {20 * time.Second, withOthers, in(3 * time.Second)},
		},
		"of two nodes, the one that is left goes on as before when the other one is back": {
			{0, able, fit}, {10 * time.Second, oneOfTwo, fit}, {20 * time.Second, withOthers, fit},
		},
		"when all were cut off from each other, nobody waits": {
			{0, able, fit}, {10 * time.Second, alone, answer{}}, {20 * time.Second, able, fit},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := fitness{hold: 3 * time.Second}
			for i, a := range asks {
				if got := f.ask(start.Add(a.after), a.condition); got != a.answer {
					t.Fatalf("question %d: got %+v, want %+v", i, got, a.answer)
				}
			}
		})
	}
}
