// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"metalsuite.io/api/reason"
)

// Community is a BGP community: a standard one of two 16-bit numbers (RFC 1997) or a large one of three 32-bit numbers (RFC 8092).
type Community struct {
	Large bool
	// Parts has two numbers in use for a standard community.
	Parts [3]uint32
}

// String writes the community as users do.
func (c Community) String() string {
	if c.Large {
		return fmt.Sprintf("large:%d:%d:%d", c.Parts[0], c.Parts[1], c.Parts[2])
	}
	return fmt.Sprintf("%d:%d", c.Parts[0], c.Parts[1])
}

func (c Community) compare(other Community) int {
	if c.Large != other.Large {
		return map[bool]int{true: 1, false: -1}[c.Large]
	}
	return cmp.Or(cmp.Compare(c.Parts[0], other.Parts[0]), cmp.Compare(c.Parts[1], other.Parts[1]), cmp.Compare(c.Parts[2], other.Parts[2]))
}

// wellKnown are the communities that everybody knows by name (RFC 1997, 3765, 7611, 7999, 8326). local-as is what routers call
// no-export-subconfed.
var wellKnown = map[string]Community{
	"graceful-shutdown":   {Parts: [3]uint32{65535, 0}},
	"accept-own":          {Parts: [3]uint32{65535, 1}},
	"blackhole":           {Parts: [3]uint32{65535, 666}},
	"no-export":           {Parts: [3]uint32{65535, 65281}},
	"no-advertise":        {Parts: [3]uint32{65535, 65282}},
	"no-export-subconfed": {Parts: [3]uint32{65535, 65283}},
	"local-as":            {Parts: [3]uint32{65535, 65283}},
	"no-peer":             {Parts: [3]uint32{65535, 65284}},
}

// communityNamed returns the community that a name stands for: what a Community resource defines counts before what everybody knows.
func communityNamed(name string, aliases map[string]Community) (Community, bool) {
	if c, ok := aliases[name]; ok {
		return c, true
	}
	c, ok := wellKnown[strings.ToLower(name)]
	return c, ok
}

// parseCommunity reads a literal. What has the shape of none (two or four parts) may be an alias; then literal is false.
func parseCommunity(text string) (c Community, literal bool, err error) {
	parts := strings.Split(text, ":")
	bits := 16
	switch len(parts) {
	case 2:
	case 4:
		if parts[0] != "large" {
			return c, true, fmt.Errorf("invalid community value: %q: expected community to be of format large:N:N:N", text)
		}
		c.Large, parts, bits = true, parts[1:], 32
	default:
		return c, false, nil
	}
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, bits)
		if err != nil {
			return c, true, fmt.Errorf("invalid community value: invalid section %q of community %q", part, text)
		}
		c.Parts[i] = uint32(n)
	}
	return c, true, nil
}

// compileAliases returns the communities by name. A name that is defined twice means what the older resource says.
func compileAliases(o Objects, found findings) map[string]Community {
	aliases := map[string]Community{}
	for _, resource := range byAge(o.Communities) {
		ref := ObjectRef{KindCommunity, resource.Name}
		for _, alias := range resource.Spec.Communities {
			c, literal, err := parseCommunity(alias.Value)
			if !literal {
				c, literal = communityNamed(alias.Value, nil)
			}
			_, defined := aliases[alias.Name]
			switch {
			case err != nil:
				found.addOn(o.communityScope(alias.Name), ref, reason.New(reason.InvalidCommunity, "%q: %v", alias.Name, err))
			case !literal:
				found.addOn(o.communityScope(alias.Name), ref, reason.New(reason.InvalidCommunity, "%q: invalid community value: %q is no community", alias.Name, alias.Value))
			case alias.Name == "":
				found.addOn(o.communityScope(alias.Name), ref, reason.New(reason.InvalidCommunity, "the community %q has no name", alias.Value))
			case defined:
				found.addOn(o.communityScope(alias.Name), ref, reason.New(reason.DuplicateEntry, "duplicate definition of community %q", alias.Name))
			default:
				aliases[alias.Name] = c
			}
		}
	}
	return aliases
}
