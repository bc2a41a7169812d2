// SPDX-License-Identifier: Apache-2.0

// Package peering tells on the objects of the announcement policy what became of them: L2Advertisement, BGPAdvertisement, BGPPeer,
// BFDProfile and Community get the condition Valid, and BGPPeer gets Established, which sums up what the speakers say of their sessions.
//
// It belongs to the role controller and works on one replica at a time. It is level-triggered: each pass looks at everything, writes the
// conditions that differ and nothing else. It knows nothing of how sessions are made and reads no Secret.
package peering
