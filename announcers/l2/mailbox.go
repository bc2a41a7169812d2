// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"net/netip"
	"slices"
	"sync"
)

// mailbox holds what other stations were heard to claim until the engine looks at it: of each address the last claim, and a stranger's
// rather than another speaker's. So it holds no more than there are addresses, and nothing that matters is lost however much is said.
type mailbox struct {
	// C holds a value while there may be something to take.
	C chan struct{}

	mu     sync.Mutex
	claims map[netip.Addr]sighting
}

func newMailbox() *mailbox {
	return &mailbox{C: make(chan struct{}, 1), claims: map[netip.Addr]sighting{}}
}

// put may be called from any goroutine and does not wait.
func (m *mailbox) put(s sighting) {
	m.mu.Lock()
	if have, ok := m.claims[s.addr]; !ok || have.ally || !s.ally {
		m.claims[s.addr] = s
	}
	m.mu.Unlock()
	signal(m.C)
}

// take empties the mailbox; the result is sorted by address.
func (m *mailbox) take() []sighting {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.claims) == 0 {
		return nil
	}
	out := make([]sighting, 0, len(m.claims))
	for _, s := range m.claims {
		out = append(out, s)
	}
	clear(m.claims)
	slices.SortFunc(out, func(a, b sighting) int { return a.addr.Compare(b.addr) })
	return out
}
