// SPDX-License-Identifier: Apache-2.0

package route

// MaxMessageLength is the length of the longest BGP message in bytes (RFC 4271 4.1). The extended length of RFC 8654 is not used.
const MaxMessageLength = 4096

// Lengths in bytes of the parts of an UPDATE message (RFC 4271 4.1 to 4.3, RFC 4760 3).
const (
	messageHeader   = 19
	updateLengths   = 4
	attributeHeader = 3
	originLength    = attributeHeader + 1
	numberLength    = attributeHeader + 4
	segmentHeader   = 2
	// reachLength is an MP_REACH_NLRI attribute with one next hop and one host route of IPv6. Everything that carries an IPv4 prefix is
	// shorter: NEXT_HOP with the prefix behind the attributes, or MP_REACH_NLRI with an IPv6 next hop (RFC 8950 3).
	reachLength = attributeHeader + 2 + 1 + 1 + 16 + 1 + 17
)

// MessageLength returns how long an UPDATE message with one prefix of these attributes can become, in bytes: to an internal or an external
// peer, with 2 or 4 bytes for an AS number (RFC 6793 4.2.2 sends both then), with either family, and with the community GRACEFUL_SHUTDOWN
// that is added when a node is drained (RFC 8326). Communities are counted as they are, repetitions included.
func (a Attributes) MessageLength() int {
	n := messageHeader + updateLengths + originLength + reachLength + numberLength // the last is LOCAL_PREF
	if a.HasMED {
		n += numberLength
	}
	n += pathLength(int(a.Prepend)+1, 2) + pathLength(int(a.Prepend)+1, 4)
	n += attributeLength(4 * (len(a.Communities) + 1))
	if len(a.LargeCommunities) > 0 {
		n += attributeLength(12 * len(a.LargeCommunities))
	}
	return n
}

// Fits says whether every UPDATE message with these attributes has room in a BGP message.
func (a Attributes) Fits() bool { return a.MessageLength() <= MaxMessageLength }

// pathLength is an AS_PATH or AS4_PATH attribute with so many AS numbers of a size, 255 to a segment (RFC 4271 4.3).
func pathLength(numbers, size int) int {
	return attributeLength((numbers+254)/255*segmentHeader + numbers*size)
}

// attributeLength is an attribute with a value of so many bytes; from 256 on its length takes a second byte.
func attributeLength(value int) int {
	if value > 255 {
		return attributeHeader + 1 + value
	}
	return attributeHeader + value
}
