// SPDX-License-Identifier: Apache-2.0

package policy

func (p *Policy) compileBGP(Objects, findings) {}

type bgpAdvertisement struct{}

// Peer is a valid BGPPeer.
type Peer struct{}
