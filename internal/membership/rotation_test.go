// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"bytes"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"metalsuite.io/api/reason"
)

var (
	keyA = Key("aaaaaaaaaaaaaaaa")
	keyB = Key("bbbbbbbbbbbbbbbb")
	keyC = Key("cccccccccccccccc")
)

func TestRotation(t *testing.T) {
	type sight struct {
		after time.Duration
		keys  Keys
		// primary encrypts afterwards.
		primary Key
		ring    int
	}
	plain := func(k Key) Keys { return Keys{Current: k} }
	for name, c := range map[string]struct {
		start  Keys
		sights []sight
	}{
		"the same key stays": {plain(keyA), []sight{{time.Hour, plain(keyA), keyA, 1}}},
		"a new key is only read at first": {plain(keyA), []sight{
			{0, plain(keyB), keyA, 2}, {promoteAfter - time.Second, plain(keyB), keyA, 2}, {promoteAfter, plain(keyB), keyB, 2}, {time.Hour, plain(keyB), keyB, 2},
		}},
		"a change taken back": {plain(keyA), []sight{
			{0, plain(keyB), keyA, 2}, {time.Minute, plain(keyA), keyA, 2}, {time.Hour, plain(keyA), keyA, 2},
		}},
		"a third key starts the wait anew": {plain(keyA), []sight{
			{0, plain(keyB), keyA, 2}, {time.Minute, plain(keyC), keyA, 3}, {promoteAfter, plain(keyC), keyA, 3}, {time.Minute + promoteAfter, plain(keyC), keyC, 3},
		}},
		"a start during a change": {Keys{keyB, keyA}, []sight{
			{time.Second, Keys{keyB, keyA}, keyA, 2}, {promoteAfter, Keys{keyB, keyA}, keyB, 2},
		}},
		"the former key alone is no change": {plain(keyB), []sight{{0, Keys{keyB, keyA}, keyB, 2}, {time.Hour, Keys{keyB, keyA}, keyB, 2}}},
		"a former key that is the current":  {Keys{keyA, keyA}, []sight{{0, Keys{keyA, keyA}, keyA, 1}}},
		"the former key is removed later":   {Keys{keyB, keyA}, []sight{{promoteAfter, plain(keyB), keyB, 2}, {time.Hour, plain(keyB), keyB, 2}}},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Unix(0, 0)
			r := newRotation(start, c.start)
			for _, s := range c.sights {
				r.see(start.Add(s.after), s.keys)
				if !bytes.Equal(r.primary, s.primary) || len(r.ring) != s.ring {
					t.Errorf("after %s: encrypts with %s, ring of %d", s.after, []byte(r.primary), len(r.ring))
				}
			}
		})
	}
}

func TestReadKeys(t *testing.T) {
	folder := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("secretkey", string(keyB))
	for _, c := range []struct{ former, want string }{{"", ""}, {"short", ""}, {string(keyA), string(keyA)}} {
		put("previous", c.former)
		keys, err := ReadKeys(folder)
		if err != nil || string(keys.Current) != string(keyB) || string(keys.Former) != c.want {
			t.Errorf("former %q: got %q, error %v", c.former, []byte(keys.Former), err)
		}
	}
	put("secretkey", "short")
	if _, err := ReadKeys(folder); err == nil {
		t.Error("an unusable key was read")
	}
}

// rotating is a member whose Secret the spec writes and whose clock it turns.
type rotating struct {
	*node
	secret atomic.Pointer[Keys]
	ticks  chan time.Time
}

func (s segment) rotating(i int, keys Keys) *rotating {
	GinkgoHelper()
	r := &rotating{ticks: make(chan time.Time)}
	r.secret.Store(&keys)
	o := s.options(i)
	o.Key, o.Former, o.KeyTicks = keys.Current, keys.Former, r.ticks
	o.Profile = Slow // a busy machine is not to be taken for a lost member
	o.ReadKeys = func() (Keys, error) {
		if keys := r.secret.Load(); keys != nil {
			return *keys, nil
		}
		return Keys{}, reason.New(reason.GossipKeyInvalid, "there is no gossip key")
	}
	r.node = run(o, s.addresses(3), version("v1"))
	return r
}

// read delivers keys at a time; nil delivers none. The keys are in use when it returns.
func (r *rotating) read(at time.Time, keys *Keys) {
	GinkgoHelper()
	r.secret.Store(keys)
	for range 2 { // the second is only taken once the first was worked off
		Eventually(r.ticks).Should(BeSent(at))
	}
}

var _ = Describe("A change of the key", func() {
	var s segment
	BeforeEach(func() {
		SetDefaultEventuallyTimeout(10 * time.Second)
		s = newSegment()
	})
	all := map[string]string{"node-1": "v1", "node-2": "v1", "node-3": "v1"}
	losses := func(nodes ...*rotating) float64 {
		sum := 0.0
		for _, n := range nodes {
			sum += testutil.ToFloat64(n.metrics.losses)
		}
		return sum
	}
	// heard proves that what one says reaches another, so that the primary key of the first is readable by the other.
	heard := func(by, from *rotating, text string) {
		GinkgoHelper()
		from.Publish(version(text))
		Eventually(by.states).Should(HaveKeyWithValue(from.options.Name, text))
		from.Publish(version("v1"))
		Eventually(by.states).Should(HaveKeyWithValue(from.options.Name, "v1"))
	}

	It("loses no member, whoever reads the new key first and whoever starts meanwhile", func() {
		begin := time.Now()
		first, second := s.rotating(1, Keys{Current: keyA}), s.rotating(2, Keys{Current: keyA})
		Eventually(first.states).Should(HaveLen(2))
		Eventually(second.states).Should(HaveLen(2))

		By("one of them reading the new key, and another starting with both")
		changed := Keys{Current: keyB, Former: keyA}
		first.read(begin, &changed)
		third := s.rotating(3, changed)
		for _, n := range []*rotating{first, second, third} {
			Eventually(n.states).Should(Equal(all))
		}
		heard(second, first, "one reads both keys")
		heard(second, third, "a speaker that has just started")

		By("the slowest reading it just before the others change over")
		last := begin.Add(promoteAfter)
		second.read(last.Add(-time.Second), &changed)
		first.read(last, &changed)
		heard(second, first, "the first encrypts with the new key")
		heard(first, second, "the second still with the former one")
		second.read(last.Add(promoteAfter), &changed)
		heard(third, second, "all encrypt with the new key")
		Expect(losses(first, second, third)).To(BeZero())
		Expect(first.keyring.GetPrimaryKey()).To(BeEquivalentTo(keyB))
		Expect(second.keyring.GetPrimaryKey()).To(BeEquivalentTo(keyB))
		for _, n := range []*rotating{first, second, third} {
			Expect(n.Problems()).NotTo(ContainElement(HaveField("Reason", reason.GossipKeyDiffers)))
			Expect(testutil.ToFloat64(n.metrics.undecryptable)).To(BeZero(), n.options.Name)
		}
	})

	It("is told when the new key cannot be read, and the one in use stays", func() {
		begin := time.Now()
		first, second := s.rotating(1, Keys{Current: keyA}), s.rotating(2, Keys{Current: keyA})
		Eventually(first.states).Should(HaveLen(2))
		first.read(begin, nil)
		Expect(first.Problems()).To(ContainElement(HaveField("Reason", reason.GossipKeyInvalid)))
		heard(second, first, "still there")
		first.read(begin, &Keys{Current: keyA})
		Expect(first.Problems()).NotTo(ContainElement(HaveField("Reason", reason.GossipKeyInvalid)))
		Expect(losses(first, second)).To(BeZero())
	})
})
