// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"time"
)

// WatchRoutesResting is WatchRoutes with another rest between listings.
func (h *Host) WatchRoutesResting(ctx context.Context, updates chan<- Routes, rest time.Duration) error {
	return h.watchRoutes(ctx, updates, rest)
}
