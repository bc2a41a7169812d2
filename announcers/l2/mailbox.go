// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
)

// mailbox holds what other stations were heard to claim until the engine looks at it: of each address
// on each interface the last claim, and a stranger's rather than another speaker's. So it holds no more than there are of these, and nothing that matters is lost however much is said.
type mailbox struct {
	// C holds a value while there may be something to take.
	C chan struct{}

	mu     sync.Mutex
	claims map[heardAt]sighting
}

// heardAt is an address on an interface.
type heardAt struct {
	addr  netip.Addr
	index int
}

func newMailbox() *mailbox {
	return &mailbox{C: make(chan struct{}, 1), claims: map[heardAt]sighting{}}
}

// put may be called from any goroutine and does not wait.
func (m *mailbox) put(s sighting) {
	m.mu.Lock()
	at := heardAt{s.addr, s.index}
	if have, ok := m.claims[at]; !ok || have.ally || !s.ally {
		m.claims[at] = s
	}
	m.mu.Unlock()
	signal(m.C)
}

// take empties the mailbox; the result is sorted by address and interface.
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
	slices.SortFunc(out, func(a, b sighting) int { return cmp.Or(a.addr.Compare(b.addr), cmp.Compare(a.index, b.index)) })
	return out
}
