// SPDX-License-Identifier: Apache-2.0

package service

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"metalsuite.io/api/reason"
)

// what says who else uses the address.
func (s sighting) what() string {
	switch s.why {
	case reason.LocalAddress:
		return fmt.Sprintf("%s is configured on%s node %s", s.address, s.place("interface %s of"), s.node)
	case reason.NextHopAddress:
		return fmt.Sprintf("a route of node %s leads through %s", s.node, s.address)
	case reason.SubnetRouterAnycast:
		return fmt.Sprintf("%s is the subnet-router anycast address of a subnet of node %s", s.address, s.node)
	case reason.NetworkAddress:
		return fmt.Sprintf("%s is the network address of a subnet of node %s", s.address, s.node)
	case reason.BroadcastAddress:
		return fmt.Sprintf("%s is the broadcast address of a subnet of node %s", s.address, s.node)
	default:
		hardware := cmp.Or(s.hardware, "unknown")
		return fmt.Sprintf("%s is used by another host (hardware address %s) seen by node %s%s", s.address, hardware, s.node, s.place("on interface %s"))
	}
}

func (s sighting) place(format string) string {
	if s.nic == "" {
		return ""
	}
	return " " + fmt.Sprintf(format, s.nic)
}

// verdictOnConflict is the content of the condition AddressConflict; its zero value is none.
type verdictOnConflict struct {
	why     reason.Reason
	message string
}

// verdict says which of a Service's addresses something else uses, the worst first.
func (c *conflicts) verdict(addresses []netip.Addr) verdictOnConflict {
	var found []conflict
	for _, a := range addresses {
		if x, ok := c.live[a]; ok {
			found = append(found, x)
		}
	}
	if len(found) == 0 {
		return verdictOnConflict{}
	}
	slices.SortFunc(found, func(x, y conflict) int { return cmp.Or(x.compare(y.sighting), x.address.Compare(y.address)) })
	texts := make([]string, len(found))
	for i, x := range found {
		texts[i] = x.sentence()
	}
	worst := found[0].why
	return verdictOnConflict{worst, strings.Join(texts, "; ") + ". " + worst.Text().Fix}
}

// sentence is the same for as long as the conflict is.
func (c conflict) sentence() string {
	since, outcome := "", "the address stays announced"
	if !c.since.IsZero() {
		since = " since " + c.since.Format(time.RFC3339)
	}
	if c.withdrawn {
		outcome = "the address is withdrawn"
	}
	return c.what() + since + ", and " + outcome
}
