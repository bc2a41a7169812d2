// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/hashicorp/memberlist"

	"metalsuite.io/api/reason"
)

// newKeyring returns the ring that a rotation starts with.
func newKeyring(r rotation) (*memberlist.Keyring, error) {
	var keys [][]byte
	for _, key := range r.ring {
		keys = append(keys, key)
	}
	ring, err := memberlist.NewKeyring(keys, r.primary)
	if err != nil {
		return nil, fmt.Errorf("preparing the keys of the membership: %w", err)
	}
	return ring, nil
}

// rekey reads the keys at each tick until the context ends. Members that have not read a new key yet go on to be heard, and to hear.
func (m *Membership) rekey(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-m.options.KeyTicks:
			m.readKeys(now)
		}
	}
}

func (m *Membership) readKeys(now time.Time) {
	keys, err := m.options.ReadKeys()
	if err == nil {
		err = m.turn(now, keys)
	}
	m.mu.Lock()
	before := m.keyProblem
	m.keyProblem = keyProblem(err)
	news := (before == nil) != (m.keyProblem == nil)
	m.mu.Unlock()
	if news {
		signal(m.changed)
	}
	if err != nil && before == nil {
		m.options.Log.Error(err, "Reading the gossip key failed, the previous keys stay in use")
	}
}

// turn does with the ring what the rotation asks for.
func (m *Membership) turn(now time.Time, keys Keys) error {
	c := m.rotation.see(now, keys)
	for _, key := range c.add {
		if err := m.keyring.AddKey(key); err != nil {
			return fmt.Errorf("adding a gossip key: %w", err)
		}
		m.options.Log.Info("Gossip key added for decryption")
	}
	if len(c.use) == 0 {
		return nil
	}
	if err := m.keyring.UseKey(c.use); err != nil {
		return fmt.Errorf("changing the gossip key: %w", err)
	}
	m.options.Log.Info("Gossip key changed for encryption")
	return nil
}

func keyProblem(err error) *reason.Problem {
	var p *reason.Problem
	if err == nil || errors.As(err, &p) {
		return p
	}
	return reason.New(reason.GossipKeyInvalid, "%s", err)
}

// expects reports whether a speaker is at an address, or is expected there, and counts a message from it that no key opens.
func (m *Membership) expects(from netip.Addr) bool {
	m.mu.Lock()
	expected := slices.Contains(m.peers, from) || m.table.lives(from)
	m.mu.Unlock()
	if expected {
		m.metrics.undecryptable.Inc()
	}
	return expected
}
