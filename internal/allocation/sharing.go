// SPDX-License-Identifier: Apache-2.0

package allocation

import (
	"net/netip"
	"slices"

	"metalsuite.io/api/reason"
)

// Tenant is what decides whether a Service may be on an address together with others.
type Tenant struct {
	Key Key
	// SharingKey allows Services with the same key on one address; empty forbids sharing.
	SharingKey string
	// BackendKey must be equal too.
	BackendKey string
	// Ports must be different.
	Ports []Port
}

// MayShare returns why a Service may not be on the address on which the other one is, as that Service is told; nil when it may. Whether
// it may does not depend on which of the two is asked about.
func MayShare(s, other Tenant, address netip.Addr) *reason.Problem {
	switch {
	case s.SharingKey == "" || other.SharingKey == "":
		return reason.New(reason.AddressInUse, "%s is in use by Service %s", address, other.Key)
	case s.SharingKey != other.SharingKey:
		return reason.New(reason.SharingKeyDiffers, "%s is in use by Service %s with the sharing key %q", address, other.Key, other.SharingKey)
	case s.BackendKey != other.BackendKey:
		return reason.New(reason.SharingBackendDiffer, "%s is in use by Service %s with other backends", address, other.Key)
	}
	for _, p := range s.Ports {
		if slices.Contains(other.Ports, p) {
			return reason.New(reason.SharingPortCollides, "Service %s uses %s/%d on %s", other.Key, p.Protocol, p.Number, address)
		}
	}
	return nil
}
