// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"

	"metalsuite.io/api/reason"
)

// delegate is what memberlist calls, from its own goroutines and partly under its own lock: nothing here blocks or calls it back. It is
// a type of its own so that these methods are no part of Membership.
type delegate struct{ *Membership }

var (
	_ memberlist.Delegate      = delegate{}
	_ memberlist.EventDelegate = delegate{}
	_ memberlist.PingDelegate  = delegate{}
)

// NodeMeta says which state of this node is the latest.
func (d delegate) NodeMeta(int) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return encode(meta{Format: format, stamp: d.table.own().stamp})
}

// NotifyMsg takes in one broadcast state.
func (d delegate) NotifyMsg(b []byte) {
	if r, ok := decodeRecord(b); ok {
		d.merge([]record{r})
	}
}

// GetBroadcasts returns states to pass on.
func (d delegate) GetBroadcasts(overhead, limit int) [][]byte {
	return d.queue.GetBroadcasts(overhead, limit)
}

// LocalState returns the states of all members for a full exchange.
func (d delegate) LocalState(bool) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return encode(d.table.spoken())
}

// MergeRemoteState takes in the states of all members that another one knows.
func (d delegate) MergeRemoteState(b []byte, _ bool) {
	if len(b) == 0 {
		return
	}
	records, err := decodeRecords(b)
	if err != nil {
		d.options.Log.V(1).Info("Invalid state of a member is ignored", "error", err.Error())
		return
	}
	d.merge(records)
}

// merge takes in states and passes on those that are news, so that every member hears of them.
func (m *Membership) merge(records []record) {
	m.mu.Lock()
	news := m.table.merge(records)
	m.mu.Unlock()
	for _, r := range news {
		m.queue.QueueBroadcast(broadcast{name: r.Name, message: encode(r)})
	}
	if len(news) > 0 {
		m.notify()
	}
}

// NotifyJoin notes that a member is alive.
func (d delegate) NotifyJoin(n *memberlist.Node) {
	d.observe(n)
	if n.Name != d.options.Name {
		d.options.Log.Info("Member joined", "member", n.Name, "address", n.Addr.String())
	}
}

// AckPayload adds nothing to the answers to probes.
func (d delegate) AckPayload() []byte { return nil }

// NotifyPingComplete notes that a member answered a probe over UDP.
func (d delegate) NotifyPingComplete(n *memberlist.Node, _ time.Duration, _ []byte) {
	d.lines.answered(n.Name)
}

// NotifyUpdate notes that a member has a new state or began a new life.
func (d delegate) NotifyUpdate(n *memberlist.Node) { d.observe(n) }

func (d delegate) observe(n *memberlist.Node) {
	address, _ := netip.AddrFromSlice(n.Addr)
	d.mu.Lock()
	d.holds.answered(n.Name)
	d.table.join(n.Name, peer{address: address.Unmap(), meta: decodeMeta(n.Meta)})
	d.count()
	d.mu.Unlock()
	d.notify()
}

// NotifyLeave notes that a member is silent or has said goodbye. One that said goodbye has told before that it is not fit, so it does no
// harm that it may be held as well.
func (d delegate) NotifyLeave(n *memberlist.Node) {
	if n.Name == d.options.Name {
		return
	}
	d.lines.answered(n.Name)
	d.mu.Lock()
	held := d.holds.hold(n.Name, time.Now())
	if !held {
		d.lose(n.Name)
	}
	d.mu.Unlock()
	if held {
		d.lines.tell(heldMessage, reason.GossipDelayed, n.Name+" did not answer in time")
	} else {
		d.options.Log.Info("Member left", "member", n.Name, "address", n.Addr.String())
	}
	d.notify()
}

// count is called under the lock.
func (m *Membership) count() {
	size := max(1, len(m.table.live))
	m.size.Store(int64(size))
	m.metrics.members.Set(float64(size))
}

func (m *Membership) notify() {
	signal(m.changed)
	signal(m.wake)
}

// broadcast is the state of one member on its way; a newer one of the same member takes its place in the queue.
type broadcast struct {
	name    string
	message []byte
}

var _ memberlist.NamedBroadcast = broadcast{}

// Name is the name of the member.
func (b broadcast) Name() string { return b.name }

// Invalidates says that of one member only the last state is sent.
func (b broadcast) Invalidates(other memberlist.Broadcast) bool {
	o, ok := other.(broadcast)
	return ok && o.name == b.name
}

// Message is the encoded record.
func (b broadcast) Message() []byte { return b.message }

// Finished has nobody to tell.
func (broadcast) Finished() {}
