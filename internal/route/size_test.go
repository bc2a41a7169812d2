// SPDX-License-Identifier: Apache-2.0

package route

import (
	"net/netip"
	"testing"

	"metalsuite.io/api/reason"
)

// communities returns attributes with so many communities of each kind.
func communities(standard, large int, change func(*Attributes)) Attributes {
	var a Attributes
	for i := range standard {
		a.Communities = append(a.Communities, uint32(i+1))
	}
	for i := range large {
		a.LargeCommunities = append(a.LargeCommunities, [3]uint32{64512, 1, uint32(i)})
	}
	if change != nil {
		change(&a)
	}
	return a
}

func TestAMessageThatIsExactlyFullIsAnnouncedAndOneByteMoreIsNot(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(*Attributes)
		// standard and large are the most communities that fit, length is that of the message.
		standard, large, length int
	}{
		// 98: header 19, lengths 4, ORIGIN 4, MP_REACH_NLRI 41, LOCAL_PREF 7, AS_PATH 7, AS4_PATH 9, COMMUNITIES with GRACEFUL_SHUTDOWN 7.
		{name: "large communities alone", large: 332, length: 98 + 4 + 12*332},
		{name: "both kinds", standard: 63, large: 311, length: 98 + 1 + 63*4 + 4 + 12*311},
		{name: "with a MED", change: func(a *Attributes) { a.HasMED, a.MED = true, 7 }, large: 332, length: 105 + 4 + 12*332},
		{name: "with the longest prepending", change: func(a *Attributes) { a.Prepend = 10 }, large: 327, length: 98 + 60 + 4 + 12*327},
		{name: "with prepending over several segments", change: func(a *Attributes) { a.Prepend = 255 }, large: 204, length: 98 + 6*255 + 2*2 + 2*1 + 4 + 12*204},
	} {
		t.Run(row.name, func(t *testing.T) {
			full := communities(row.standard, row.large, row.change)
			if got := full.MessageLength(); got != row.length || !full.Fits() {
				t.Errorf("the fullest message has %d bytes and fits: %v, want %d", got, full.Fits(), row.length)
			}
			more := communities(row.standard, row.large+1, row.change)
			if more.Fits() {
				t.Errorf("a message of %d bytes fits", more.MessageLength())
			}
			for _, address := range []string{"192.0.2.1", "2001:db8::1"} {
				through := func(a Attributes) *Advertisement { return &Advertisement{Length4: 32, Length6: 128, Attributes: a} }
				got := Compute([]Claim{claim(address, through(full))}, []string{"a"})[0]
				if len(got.Routes) != 1 || len(got.Refusals) != 0 {
					t.Errorf("%s with a full message: %d routes, refusals %v", address, len(got.Routes), got.Refusals)
				}
				got = Compute([]Claim{claim(address, through(more))}, []string{"a"})[0]
				if len(got.Routes) != 0 || len(got.Refusals) != 1 || got.Refusals[0].Problem.Reason != reason.TooManyCommunities {
					t.Errorf("%s with one community more: %d routes, refusals %v", address, len(got.Routes), got.Refusals)
				}
			}
		})
	}
}

func TestLargeCommunitiesOfSeveralAdvertisementsCountTogether(t *testing.T) {
	part := func(from int) *Advertisement {
		a := communities(0, from+169, nil)
		a.LargeCommunities = a.LargeCommunities[from:]
		return &Advertisement{Length4: 32, Length6: 128, Attributes: a}
	}
	got := Compute([]Claim{claim("192.0.2.1", part(0), part(169)), claim("192.0.2.2", part(0)), claim("192.0.2.3", part(0), part(100))}, []string{"a"})[0]
	if len(got.Refusals) != 1 || got.Refusals[0].Prefix != netip.MustParsePrefix("192.0.2.1/32") || got.Refusals[0].Problem.Reason != reason.TooManyCommunities {
		t.Errorf("338 large communities on one prefix: refusals %v", got.Refusals)
	}
	if len(got.Routes) != 2 {
		t.Errorf("%d routes, want the two with 169 and 269 large communities", len(got.Routes))
	}
}
