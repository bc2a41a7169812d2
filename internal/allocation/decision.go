// SPDX-License-Identifier: Apache-2.0

package allocation

import (
	"net/netip"

	"metalsuite.io/api/reason"
)

// Decision is what a Service gets. It is a value: the Allocator never touches it again.
type Decision struct {
	Service Key
	// Addresses are what the Service has, in the order of its families, or of its status if that names the same ones already; empty when it
	// has none.
	Addresses []netip.Addr
	// Pool is where the addresses come from; empty when there are none.
	Pool string
	// Problem says why the Service does not have what it asks for, or, beside addresses, what is wrong although it keeps them. Nil
	// when all is well.
	Problem *reason.Problem

	// Granted are the addresses that the Service did not hold before.
	Granted []netip.Addr
	// Lost are the addresses that the Service held, or that its status named, and holds no more; Cause says why.
	Lost  []netip.Addr
	Cause *reason.Problem
	// AwaitsReplacement is true when the Service keeps an address that no node can announce only because it could not be given another one: it
	// has to be decided on again when an address comes free.
	AwaitsReplacement bool
	// Frees is true when a Service that waits may now be served: an address was given up, or its ports or sharing rules changed.
	Frees bool
}
