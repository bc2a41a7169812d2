// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"metalsuite.io/announcers"
	"metalsuite.io/api/reason"
	"metalsuite.io/internal/allocation"
)

// since returns the Service as one that has had its addresses since a number of seconds after some time.
func since(seconds int, s Service) Service {
	s.Seniority.Since = time.Unix(1000+int64(seconds), 0)
	return s
}

// sharing returns the Service as one that shares its addresses under a key, with one port.
func sharing(key string, port int32, s Service) Service {
	s.Tenant.SharingKey, s.Tenant.Ports = key, []allocation.Port{{Protocol: "TCP", Number: port}}
	return s
}

func TestADuplicateIsAnnouncedForTheSeniorOneAlone(t *testing.T) {
	const four, six, other = "192.0.2.10", "2001:db8::10", "192.0.2.11"
	for _, row := range []struct {
		name     string
		services []Service
		// want are the announced addresses with the Services behind them, loses the Services that leave an address to another one.
		want  []string
		loses []string
	}{
		{"the one that has had it for longer",
			[]Service{since(5, service("a", four)), since(1, service("b", four))}, []string{four + " default/b"}, []string{"default/a"}},
		{"one of which nobody said since when goes last",
			[]Service{service("a", four), since(9, service("b", four))}, []string{four + " default/b"}, []string{"default/a"}},
		{"by name when all else is equal",
			[]Service{since(1, service("b", four)), since(1, service("a", four))}, []string{four + " default/a"}, []string{"default/b"}},
		{"who may share does",
			[]Service{since(2, sharing("k", 80, service("a", four))), since(1, sharing("k", 443, service("b", four)))},
			[]string{four + " default/a,default/b"}, nil},
		{"an intruder among those who share",
			[]Service{since(1, sharing("k", 80, service("a", four))), since(2, sharing("k", 443, service("b", four))), since(3, sharing("k", 443, service("c", four)))},
			[]string{four + " default/a,default/b"}, []string{"default/c"}},
		{"those who share against a senior one that does not",
			[]Service{since(2, sharing("k", 80, service("a", four))), since(3, sharing("k", 443, service("b", four))), since(1, service("c", four))},
			[]string{four + " default/c"}, []string{"default/a", "default/b"}},
		{"the rest of its addresses stay",
			[]Service{since(1, service("a", four)), since(2, service("b", four, six))},
			[]string{four + " default/a", six + " default/b"}, []string{"default/b"}},
		{"two that lose to each other",
			[]Service{since(1, service("a", four)), since(2, service("b", four, other)), since(3, service("c", other))},
			[]string{four + " default/a", other + " default/b"}, []string{"default/b", "default/c"}},
		{"the same address twice in one status", []Service{service("a", four, four)}, []string{four + " default/a"}, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := base()
			w.Services = row.services
			before := fmt.Sprintf("%+v", w.Services)
			var got, loses []string
			for _, a := range announcedByAll(w) {
				got = append(got, a.Addr.String()+" "+strings.Join(slices.Compact(a.Services), ","))
			}
			for key, v := range Decide(w).Verdicts {
				if v.Withheld == nil {
					continue
				}
				loses = append(loses, key)
				if len(v.Addresses) == 0 && (v.Owner != "" || v.Problem == nil || v.Problem.Reason != reason.AddressDuplicate) {
					t.Errorf("%s: owner %q, problem %v", key, v.Owner, v.Problem)
				}
			}
			slices.Sort(loses)
			if !slices.Equal(got, row.want) || !slices.Equal(loses, row.loses) {
				t.Errorf("got %v, %v lose; want %v, %v lose", got, loses, row.want, row.loses)
			}
			if after := fmt.Sprintf("%+v", w.Services); after != before {
				t.Errorf("the decision changed its input from %s to %s", before, after)
			}
		})
	}
}

// announcedByAll are what all nodes together announce through announcers with owners, by address.
func announcedByAll(w World) []announcers.Address {
	var all []announcers.Address
	for _, self := range []string{"n1", "n2", "n3"} {
		w.Self = self
		all = append(all, Decide(w).Exclusive...)
	}
	slices.SortFunc(all, func(x, y announcers.Address) int { return x.Addr.Compare(y.Addr) })
	return all
}

// Whatever Services bear, no address is announced for two that may not share it, and none that a Service bears is left out.
func TestNothingIsAnnouncedForTwoThatMayNotShare(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for round := range 300 {
		w := base()
		tenants, borne := map[string]allocation.Tenant{}, map[netip.Addr]bool{}
		for i := range 10 {
			s := service(fmt.Sprintf("s%d", i), fmt.Sprintf("192.0.2.%d", random.IntN(4)))
			s = since(random.IntN(3), sharing([]string{"", "k", "l"}[random.IntN(3)], int32(80+random.IntN(3)), s))
			s.ServingNodes = map[string]bool{"n1": true}
			w.Services = append(w.Services, s)
			tenants[s.Key] = s.Tenant
			borne[s.Addresses[0]] = true
		}
		all := announcedByAll(w)
		if len(all) != len(borne) {
			t.Fatalf("round %d: %d addresses are announced, %d are borne", round, len(all), len(borne))
		}
		for _, a := range all {
			for i, x := range a.Services {
				for _, y := range a.Services[i+1:] {
					if problem := allocation.MayShare(tenants[x], tenants[y], a.Addr); problem != nil {
						t.Fatalf("round %d: %s and %s are both announced: %v", round, x, y, problem)
					}
				}
			}
		}
	}
}
