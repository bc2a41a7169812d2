// SPDX-License-Identifier: Apache-2.0

package allocation

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"metalsuite.io/api/reason"
)

// Key names a Service.
type Key struct {
	Namespace, Name string
}

// String returns namespace/name.
func (k Key) String() string { return k.Namespace + "/" + k.Name }

func (k Key) compare(o Key) int {
	return cmp.Or(cmp.Compare(k.Namespace, o.Namespace), cmp.Compare(k.Name, o.Name))
}

// Family is an address family.
type Family uint8

const (
	// IPv4 is the family of 32-bit addresses.
	IPv4 Family = 4
	// IPv6 is the family of 128-bit addresses.
	IPv6 Family = 6
)

// FamilyOf returns the family of a valid address; an IPv4-mapped address counts as IPv6.
func FamilyOf(a netip.Addr) Family {
	if a.Is4() {
		return IPv4
	}
	return IPv6
}

// String returns the family as users write it.
func (f Family) String() string {
	if f == IPv4 {
		return "IPv4"
	}
	return "IPv6"
}

// FamilyPolicy says how many families a Service needs, as spec.ipFamilyPolicy does.
type FamilyPolicy uint8

const (
	// SingleStack needs the families of the Service's cluster IPs, usually one.
	SingleStack FamilyPolicy = iota
	// PreferDualStack takes what can be had of the families of the cluster IPs, both from one pool where possible.
	PreferDualStack
	// RequireDualStack needs both families.
	RequireDualStack
)

// Port is what two Services on one address may not both have.
type Port struct {
	Protocol string
	Number   int32
}

// Service is a request: everything about a Service that decides on its addresses. Nobody changes it after it was handed in.
type Service struct {
	Key    Key
	Labels map[string]string
	// Families are those of the Service's cluster IPs, in the order of spec.ipFamilies; empty without cluster IP.
	Families []Family
	Policy   FamilyPolicy

	// Requested are the addresses asked for by name, at most one of each family; empty when any will do.
	Requested []netip.Addr
	// RequestedPool is the pool asked for by name; empty when any will do.
	RequestedPool string
	// Invalid says why the request cannot be understood; what the Service holds stays, nothing new is granted. Nil when it can.
	Invalid *reason.Problem

	// SharingKey allows Services with the same key on one address; empty forbids sharing.
	SharingKey string
	// BackendKey must be equal too among Services on one address.
	BackendKey string
	Ports      []Port

	// Current are the addresses in the Service's status; CurrentPool is the pool it names. They count until the Allocator has
	// decided on the Service for the first time; after that its own memory does.
	Current     []netip.Addr
	CurrentPool string
	// CurrentForeign is set when no mark on the Service says that this suite or MetalLB granted Current: another program wrote it, a former
	// load balancer for example. Such addresses are taken over only if they could be granted to the Service as well.
	CurrentForeign bool
}

// request is a Service that is decided on, with what the Allocator remembers of it, looked up once; nil when it knows nothing of it yet.
type request struct {
	Service
	lease *lease
}

// wants returns the families the Service needs and whether one of two is enough.
func (s *Service) wants() (families []Family, oneIsEnough bool) {
	return s.Families, s.Policy == PreferDualStack && len(s.Families) == 2
}

// ParseRequest reads the two ways of asking for addresses: the annotation (a comma list of one address, or of one address of each
// family) and spec.loadBalancerIP (one address). Blank text asks for nothing; giving both is a mistake.
func ParseRequest(annotation, loadBalancerIP string) ([]netip.Addr, *reason.Problem) {
	annotation, loadBalancerIP = strings.TrimSpace(annotation), strings.TrimSpace(loadBalancerIP)
	switch {
	case annotation != "" && loadBalancerIP != "":
		return nil, reason.New(reason.InvalidRequest, "addresses are requested both by annotation and by spec.loadBalancerIP")
	case annotation != "":
		return parseList(annotation)
	case loadBalancerIP != "":
		a, problem := parseAddress(loadBalancerIP)
		if problem != nil {
			return nil, problem
		}
		return []netip.Addr{a}, nil
	}
	return nil, nil
}

func parseList(text string) ([]netip.Addr, *reason.Problem) {
	var list []netip.Addr
	for part := range strings.SplitSeq(text, ",") {
		a, problem := parseAddress(strings.TrimSpace(part))
		if problem != nil {
			return nil, problem
		}
		sameFamily := func(b netip.Addr) bool { return FamilyOf(a) == FamilyOf(b) }
		if slices.ContainsFunc(list, sameFamily) {
			return nil, reason.New(reason.InvalidRequest, "more than one %s address is requested", FamilyOf(a))
		}
		list = append(list, a)
	}
	return list, nil
}

func parseAddress(text string) (netip.Addr, *reason.Problem) {
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, reason.New(reason.InvalidRequest, "%q is not an IP address", text)
	}
	return a.Unmap(), nil
}
