// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
)

// format is the version of what members tell each other. Fields may be added without changing it, since unknown fields are ignored; it
// grows when the meaning of a field changes. A member that speaks another format is taken as fit, without links.
const format = 1

// stamp orders what a member says.
type stamp struct {
	// Life tells one run of a member from the next: the time at which it began, in nanoseconds.
	Life uint64 `json:"life"`
	// Seq counts the states within one life; 0 means that there was none yet.
	Seq uint64 `json:"seq"`
}

// meta travels with memberlist's own messages, which hold at most 512 bytes of it: it says which state is the latest, not the state.
type meta struct {
	Format int `json:"v"`
	stamp
}

// record is the state of a member as it travels by broadcast and by the exchange of full states.
type record struct {
	Format int    `json:"v"`
	Name   string `json:"name"`
	stamp
	State State `json:"state"`
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		// The types above hold nothing that JSON cannot express.
		panic(fmt.Sprintf("encoding %T: %v", v, err))
	}
	return b
}

// decodeMeta returns the zero value, which no known format has, for metadata that it cannot read.
func decodeMeta(b []byte) meta {
	var m meta
	if json.Unmarshal(b, &m) != nil || m.Format != format {
		return meta{Format: m.Format}
	}
	return m
}

// decodeRecords returns what it can read of a list of records. A record of another format may not even be decodable, so each one is
// decoded on its own.
func decodeRecords(b []byte) ([]record, error) {
	var raw []json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		return nil, fmt.Errorf("decoding states: %w", err)
	}
	records := make([]record, 0, len(raw))
	for _, message := range raw {
		if r, ok := decodeRecord(message); ok {
			records = append(records, r)
		}
	}
	return records, nil
}

func decodeRecord(b []byte) (record, bool) {
	var version struct {
		Format int `json:"v"`
	}
	if json.Unmarshal(b, &version) != nil || version.Format != format {
		return record{}, false
	}
	var r record
	err := json.Unmarshal(b, &r)
	return r, err == nil
}

// longest is how many bytes a record may have to be broadcast. Memberlist sends packets of up to 1400 bytes and never one message in
// several; what does not fit into a packet has to be asked for.
const longest = 1300

// Fitting returns what the member of this name can broadcast of the state. As far as needed the unsuitable addresses are cut at
// their end, since nothing is announced or withdrawn because of them, then the longest lists at theirs. Links are never cut.
func (s State) Fitting(name string) State {
	for more := true; more && len(encode(record{format, name, stamp{math.MaxUint64, math.MaxUint64}, s})) > longest; {
		s, more = s.cut()
	}
	return s
}

// cut leaves the last unsuitable address out, or the last element of the longest list when there is none; false when all are empty.
func (s State) cut() (State, bool) {
	if n := len(s.Unsuitable); n > 0 {
		s.Unsuitable = s.Unsuitable[:n-1]
		return s, true
	}
	switch n := max(len(s.Strangers), len(s.MACs), len(s.Subnets), len(s.Uses)); n {
	case 0:
		return s, false
	case len(s.Strangers):
		s.Strangers = s.Strangers[:n-1]
	case len(s.MACs):
		s.MACs = s.MACs[:n-1]
	case len(s.Subnets):
		s.Subnets = s.Subnets[:n-1]
	default:
		s.Uses = maps.Clone(s.Uses)
		delete(s.Uses, slices.Max(slices.Collect(maps.Keys(s.Uses))))
		s.UsesCut = true
	}
	return s, true
}
