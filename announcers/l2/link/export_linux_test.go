// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"time"

	"github.com/vishvananda/netlink"
)

// FromKernel is an interface as the kernel shows it, without its addresses.
func FromKernel(found netlink.Link) Link { return fromKernel(found) }

// WatchRoutesResting is WatchRoutes with another rest between listings.
func (h *Host) WatchRoutesResting(ctx context.Context, updates chan<- Routes, rest time.Duration) error {
	return h.watchRoutes(ctx, updates, rest)
}
